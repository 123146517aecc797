// How the commands end. A user's mistake is one sentence and a status, never a stack trace.
import { readFileSync, writeSync } from 'node:fs'

import { inRoot } from '../src/base/root.ts'
import { UserError } from '../src/base/user-error.ts'

/** ioth failed, before the program started. */
export const EXIT_IOTH = 125
/** The program is there and cannot be run. */
export const EXIT_CANNOT_RUN = 126
/** There is no such program. */
export const EXIT_NOT_FOUND = 127

/** What the user did wrong, or what failed: one sentence, and the status to end with. */
export class Failure extends UserError {
  readonly status: number
  constructor(message: string, status: number = EXIT_IOTH) {
    super(message)
    this.status = status
  }
}

/** Runs `main` and ends the process with a sentence if it fails. */
export async function reporting(name: string, main: () => Promise<void> | void): Promise<void> {
  try {
    await main()
  } catch (error) {
    if (error instanceof UserError)
      end(error instanceof Failure ? error.status : EXIT_IOTH, `${name}: ${sentence(error)}\n`)
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    end(EXIT_IOTH, `${name}: internal error: ${text}\n`)
  }
}

/** After "ioth-run: " a sentence goes on in lower case. */
const sentence = ({ message }: Error) => message.replace(/^Cannot/, 'cannot')

/** Writes to standard error and ends. process.stderr would set O_NONBLOCK on a descriptor shared with others. */
function end(status: number, text: string): never {
  try {
    writeSync(2, text)
  } finally {
    process.exit(status)
  }
}

/** As `--version` prints it. */
export function version(): string {
  return (JSON.parse(readFileSync(inRoot('package.json'), 'utf8')) as { version: string }).version
}
