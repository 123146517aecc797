// MSG_* (sys/socket.h) as programs give them and are told.
import { MSG_DONTWAIT, MSG_NOSIGNAL } from '../../ffi/libc.ts'

export const MSG_OOB = 0x1
export const MSG_DONTROUTE = 0x4
export const MSG_CTRUNC = 0x8
export const MSG_TRUNC = 0x20
export const MSG_CONFIRM = 0x800
export const MSG_ERRQUEUE = 0x2000
export const MSG_MORE = 0x8000

/** For calls of ours. */
export const QUIET = MSG_DONTWAIT | MSG_NOSIGNAL
