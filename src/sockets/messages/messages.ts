// All message sockets of a stack, and the memory in which messages are taken up and built.
import { Stage } from '../../ffi/stage.ts'
import { ABI_MESSAGE_TEXT, ABI_RECORDS, MESSAGE_SIZE } from '../../shm/layout.ts'
import { Inbound } from './inbound.ts'
import type { MessageSocket } from './message-socket.ts'
import type { News } from './netlink-news.ts'
import { Outbound } from './outbound.ts'

export class Messages {
  /** By record; a hole where the record is free, or a stream's. */
  readonly sockets = new Array<MessageSocket | undefined>(ABI_RECORDS).fill(undefined)
  /** What a program sent. */
  readonly stage = new Stage(MESSAGE_SIZE + ABI_MESSAGE_TEXT + 1)
  readonly inbound = new Inbound(this.stage.bytes)
  /** What a program is to have. */
  readonly outbound = new Outbound()
  /** Sockets with a message that found no room on the link. */
  readonly blocked = new Set<MessageSocket>()
  /** Sockets with more to take than one turn takes. */
  readonly unread = new Set<MessageSocket>()
  /** What netlink sockets are told unasked; undefined: none has asked for any. */
  news: News | undefined
}
