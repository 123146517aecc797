// One question, asked of one server after the other until somebody answers: resolv.conf(5)'s timeout and attempts as
// glibc reads them. A datagram is believed if it comes from the server's port to ours with our random id and repeats the
// question (RFC 5452); whatever else comes is not heard. Truncated answers are asked for again over TCP (RFC 7766).
import { u16, writeU16 } from '../base/bytes.ts'
import type { Address } from '../wire/address.ts'
import type { Asker, Carrier, Channel } from './carrier.ts'
import type { Counters } from './counters.ts'
import * as M from './message.ts'
import type { ResolvConf } from './resolv-conf.ts'

/** A connection gets as long as the most patient datagram. */
const CONNECTION_MS = 10_000

export interface Ground {
  readonly carrier: Carrier
  readonly counters: Counters
  /** 32 random bits. */
  readonly random: () => number
}

export class Exchange implements Asker {
  /** When expire() is to be called. */
  deadline = Infinity
  private readonly ground: Ground
  private readonly conf: ResolvConf
  private readonly first: number
  private readonly done: (message: Uint8Array | undefined, now: number) => void
  private readonly id: number
  /** As it travels, with an id of its own. */
  private query: Uint8Array
  private hasEdns: boolean
  private tries = 0
  private channel: Channel | undefined
  private overTcp = false
  /** A server's refusal, which counts if nobody knows better. */
  private refusal: Uint8Array | undefined

  /** `first`: which server is asked first. `done` is called once, never from within start(). */
  constructor(
    ground: Ground,
    conf: ResolvConf,
    first: number,
    query: Uint8Array,
    hasEdns: boolean,
    done: (message: Uint8Array | undefined, now: number) => void,
  ) {
    this.ground = ground
    this.conf = conf
    this.first = first
    this.query = query.slice()
    this.id = u16(query, 0)
    this.hasEdns = hasEdns
    this.done = done
  }

  start(now: number): void {
    this.ask(now, this.conf.useVc)
  }

  /** The deadline has passed: the next server. */
  expire(now: number): void {
    this.ground.counters.timeouts++
    this.goOn(now)
  }

  heard(message: Uint8Array, now: number): void {
    const { counters } = this.ground
    if (!M.answers(message, this.query)) {
      counters.strangers++
      return
    }
    counters.answers++
    if (!this.overTcp && M.isTruncated(message)) {
      counters.truncated++
      return this.ask(now, true)
    }
    const code = M.rcode(message)
    if (code === M.FORMERR && this.hasEdns) {
      this.hasEdns = false
      this.query = M.withoutEdns(this.query)
      return this.ask(now, this.overTcp)
    }
    if (code === M.SERVFAIL || code === M.NOTIMP || code === M.REFUSED) {
      this.refusal = message
      return this.goOn(now)
    }
    this.finish(message, now)
  }

  unreachable(now: number): void {
    this.ground.counters.unreachable++
    this.goOn(now)
  }

  private get server(): Address {
    const { servers } = this.conf
    return servers[(this.first + this.tries) % servers.length]
  }

  /** The deadline is near at hand if it cannot be sent: the next server is asked from expire(). */
  private ask(now: number, overTcp: boolean): void {
    const { carrier, counters, random } = this.ground
    this.channel?.close(now)
    this.overTcp = overTcp
    writeU16(this.query, 0, random() & 0xffff)
    counters.queries++
    this.channel = overTcp
      ? carrier.connection(this.server, this.query, this, now)
      : carrier.datagram(this.server, this.query, this, now)
    if (this.channel === undefined) this.deadline = now
    else this.deadline = now + (overTcp ? CONNECTION_MS : this.patience)
  }

  /** Doubled with each round, and shared by the servers from the second on (resolv.h's RES_TIMEOUT). */
  private get patience(): number {
    const { servers, timeout } = this.conf
    const round = Math.floor(this.tries / servers.length)
    return round === 0 ? timeout : Math.max(1000, (timeout * 2 ** round) / servers.length)
  }

  private goOn(now: number): void {
    this.tries++
    if (this.tries < this.conf.servers.length * this.conf.attempts)
      return this.ask(now, this.conf.useVc)
    this.finish(this.refusal, now)
  }

  private finish(message: Uint8Array | undefined, now: number): void {
    this.channel?.close(now)
    this.channel = undefined
    this.deadline = Infinity
    if (message !== undefined) writeU16(message, 0, this.id)
    this.done(message, now)
  }
}
