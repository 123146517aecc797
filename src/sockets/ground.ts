// What every part of sockets/ stands on: the memories, the kernel's side, the stack.
import type { Region } from '../shm/region.ts'
import type { Chunks } from '../shm/chunks.ts'
import type { Stack } from '../stack/stack.ts'
import type { Calls } from './calls.ts'
import type { Messages } from './messages/messages.ts'
import type { SocketTable } from './table.ts'
import type { Stream } from './stream.ts'
import type { Names } from './names.ts'
import type { Uploads } from './uploads.ts'

export interface Ground {
  readonly region: Region
  readonly table: SocketTable
  readonly chunks: Chunks
  readonly calls: Calls
  readonly names: Names
  readonly stack: Stack
  /** By record; a hole where the record is free, or a message socket's. */
  readonly streams: (Stream | undefined)[]
  readonly messages: Messages
  /** Values of options that come in parts. */
  readonly uploads: Uploads
  /** By TCB: the record whose connection it is, -1. */
  readonly recordOf: Int32Array
  /** Streams with waits that end by themselves (linger). */
  readonly timed: Set<Stream>
  /** Streams whose non-blocking connect() over loopback is answered in this turn. */
  readonly begun: Stream[]
  /** Streams whose program has gone; they are closed at the end of what is being done. */
  readonly ended: Set<Stream>
  /** Streams to be rung when their millisecond is over (readiness.ts). */
  readonly owed: Set<Stream>
  /** Ends of text not shown yet (readiness.ts), and until when at most, ms. */
  readonly heldEnds: Map<Stream, number>
  /** Send rings given up while a program held their lock. */
  readonly writtenTo: {
    readonly record: number
    readonly generation: number
    readonly offset: number
  }[]
  /** By listener's record: connections that its backlog had no room for, oldest first. */
  readonly undelivered: Map<number, Stream[]>
  /**
   * Before a call fails because `port` is in use: looks now whether a program closed something, and whether those who
   * hold the port still live. True if it may be free now.
   */
  reclaimPort(port: number): boolean
  /** Before a call fails because all records are taken: looks now whether a program closed something. */
  reclaimRecords(): void
  /** 32 bits that cannot be guessed. */
  random(): number
  /** The epoll set that the stack thread sleeps in. */
  readonly epoll: number
  /** 1-byte messages that take a program's POLLOUT away, the canary among them; 0: native mode only. */
  readonly plug: number
  /** What SIOCOUTQ shows for one unread token. */
  readonly tokenSize: number
  readonly counters: SocketCounters
  /** This turn's time, ms. */
  now: number
}

/** How often something happened that should not, or seldom. */
export interface SocketCounters {
  corruptRings: number
  strangers: number
  staleCalls: number
  squattedNames: number
  noRecords: number
  noMemory: number
}
