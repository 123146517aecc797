// What one kind of message socket is: UDP's, a raw one, a netlink one. message-socket.ts has what they have in common.
// Functions give 0 (or what is said) or a negative errno.
import type { Call } from '../calls.ts'
import type { Ground } from '../ground.ts'
import type { Inbound } from './inbound.ts'
import type { MessageSocket } from './message-socket.ts'

export interface Kind {
  /** bind(2): the sockaddr is call.data. */
  bind(call: Call): number
  /** connect(2) to call.data; never AF_UNSPEC, that is disconnect(). */
  connect(call: Call): number
  disconnect(): number
  /**
   * Would send(2) take this message (`message.length` is the text's, of which only the beginning may be there)? The most text that it would
   * take to this destination, or a negative errno. The program asks once and remembers, until region.world or the
   * record's `checked` moves (MessageSocket.forgetChecks), but asks each time where there is ancillary data.
   */
  check(message: Inbound): number
  /** The program sent it. -EAGAIN: no room now, it comes again. Any other error is lost: check() is where it is told. */
  send(message: Inbound): number
  /** setsockopt(2): level, name, value are call.arg[0], call.arg[1], call.data. Undefined: no such option here. */
  setOption(call: Call): number | undefined
  /** getsockopt(2): the value goes to call.out, its length (at most call.arg[2]) to call.outLength. */
  getOption(call: Call): number | undefined
  /** There is room again for what goes to the program: nothing waits. */
  more?(): void
  /** The last copy of the socket was closed. */
  close(): void
  /** After a change of stack threads: takes up what the row says. */
  recover(): void
}

/** Makes the kind of socket that socket(2) asks for. */
export type KindOf = (ground: Ground, socket: MessageSocket) => Kind
