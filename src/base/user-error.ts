/** What the user can do something about. The message is the one sentence that is printed, without a stack trace. */
export class UserError extends Error {}
