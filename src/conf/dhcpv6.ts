// A DHCPv6 client (RFC 8415): events in, values out, as dhcp.ts. Stateful it gets addresses, stateless only the names'
// servers; a router's advertisement says which (RFC 4861 section 4.2, flags M and O).
//
//   INIT ─▶ SOLICITING ─▶ REQUESTING ─▶ BOUND ─▶ RENEWING ─▶ REBINDING ─▶ (lost) INIT
//                │ rapid commit           ▲ ▲                                        BOUND ─▶ DECLINING ─▶ INIT
//                └────────────────────────┘ └ CONFIRMING (link up again)             BOUND ─▶ RELEASING ─▶ RELEASED
//   INIT ─▶ INFORMING ─▶ INFORMED ─▶ (refresh) INFORMING
//
// All messages go to all agents of the link, from the link-local address; the server unicast option is ignored. Duplicate
// address detection is the stack's: a duplicate comes back as conflict().
import type { Address } from '../wire/address.ts'
import {
  ADVERTISE,
  CONFIRM,
  DECLINE,
  duidOf,
  emitDhcpv6,
  INFORMATION_REQUEST,
  NO_ADDRS_AVAIL,
  NO_BINDING,
  NOT_ON_LINK,
  OPT6_DNS,
  OPT6_DOMAINS,
  OPT6_FQDN,
  OPT6_INF_MAX_RT,
  OPT6_REFRESH_TIME,
  OPT6_SOL_MAX_RT,
  parseDhcpv6,
  REBIND,
  RELEASE,
  RENEW,
  REPLY,
  REQUEST,
  sameDuid,
  SOLICIT,
  SUCCESS,
  type Dhcpv6Fields,
  type Dhcpv6Message,
} from '../wire/dhcpv6.ts'
import type { Mac } from '../wire/mac.ts'
import { iaOf, leaseOf, namesOf, type Dhcpv6Lease, type Dhcpv6Names } from './dhcpv6-lease.ts'

export type Dhcpv6State =
  | 'INIT'
  | 'SOLICITING'
  | 'REQUESTING'
  | 'BOUND'
  | 'RENEWING'
  | 'REBINDING'
  | 'CONFIRMING'
  | 'DECLINING'
  | 'RELEASING'
  | 'RELEASED'
  | 'INFORMING'
  | 'INFORMED'

export type Dhcpv6Action =
  /** From the link-local address, port 546, to all agents (ff02::1:2), port 547. */
  | { readonly do: 'send'; readonly bytes: Uint8Array }
  /** These addresses and no others of this client's are to be used from now on. */
  | { readonly do: 'bound'; readonly lease: Dhcpv6Lease }
  | { readonly do: 'lost'; readonly why: string }
  /** Stateless: what there is to know. */
  | { readonly do: 'informed'; readonly names: Dhcpv6Names }

/** What another client needs to go on: the Reply, and when it came. */
export interface Dhcpv6Memory {
  readonly reply: Uint8Array
  readonly at: number
}

export interface Dhcpv6Setup {
  readonly mac: Mac
  /** 32 random bits. */
  readonly random: () => number
  /** Addresses too, or only the names' servers. */
  readonly stateful: boolean
  /** What the server is to call us (RFC 4704). */
  readonly name?: string | undefined
}

interface Retransmission {
  /** ms; 0: no limit. */
  readonly irt: number
  readonly mrt: number
  readonly mrc: number
}

/** Section 7.6. What limits the renewals is the lease. */
const SOL = { irt: 1000, mrt: 3600_000, mrc: 0 }
const REQ = { irt: 1000, mrt: 30_000, mrc: 10 }
const CNF = { irt: 1000, mrt: 4000, mrc: 0 }
const REN = { irt: 10_000, mrt: 600_000, mrc: 0 }
const INF = { irt: 1000, mrt: 3600_000, mrc: 0 }
const REL = { irt: 1000, mrt: 0, mrc: 4 }
const SOL_MAX_DELAY_MS = 1000
const CNF_MAX_RD_MS = 10_000
const REFRESH_DEFAULT_S = 86_400
const REFRESH_MINIMUM_S = 600
const FOR_EVER = 0xffffffff
/** A server whose addresses are taken, or that refuses what it offers, is not asked faster and faster. */
const AGAIN_MS = 10_000
const BEST_PREFERENCE = 255
/** S: the server is to update the address record. */
const FQDN_FLAGS = 0x01
const REQUESTED = [OPT6_DNS, OPT6_DOMAINS, OPT6_SOL_MAX_RT, OPT6_FQDN]
const REQUESTED_STATELESS = [OPT6_DNS, OPT6_DOMAINS, OPT6_REFRESH_TIME, OPT6_INF_MAX_RT]

export class Dhcpv6Client {
  state: Dhcpv6State = 'INIT'
  /** When run() has something to do. */
  next: number
  lease: Dhcpv6Lease | undefined
  memory: Dhcpv6Memory | undefined
  private readonly setup: Dhcpv6Setup
  private readonly duid: Uint8Array
  private readonly iaid: number
  private xid = 0
  /** When the first message of this exchange left, how many have, and the last interval. */
  private began = 0
  private tries = 0
  private rt = 0
  /** When the exchange ends in any case. */
  private deadline = Infinity
  private best: Dhcpv6Message | undefined
  private serverId: Uint8Array | undefined
  private declined: Address | undefined
  private solMaxRt = SOL.mrt
  private infMaxRt = INF.mrt

  /** Begins after a random delay (section 18.2.1), or goes on with what another client left. */
  constructor(setup: Dhcpv6Setup, now: number, memory?: Dhcpv6Memory) {
    this.setup = setup
    this.duid = duidOf(setup.mac)
    this.iaid = setup.mac.low >>> 0
    this.next = now + this.rand() * SOL_MAX_DELAY_MS
    const reply = memory && parseDhcpv6(memory.reply)
    if (memory === undefined || reply === undefined) return
    if (!setup.stateful) {
      this.memory = memory
      this.enter('INFORMED', memory.at + refreshOf(reply))
      return
    }
    const lease = leaseOf(reply, this.iaid, memory.at)
    if (lease === undefined || lease.expiresAt <= now) return
    this.memory = memory
    this.lease = lease
    this.enter('BOUND', lease.renewAt)
  }

  /** What a client that goes on has to say about names. */
  get names(): Dhcpv6Names | undefined {
    const reply = this.memory && parseDhcpv6(this.memory.reply)
    return reply && namesOf(reply)
  }

  /** What is due. */
  run(now: number): Dhcpv6Action[] {
    if (now < this.next) return []
    if (this.lease !== undefined && now >= this.lease.expiresAt)
      return this.restart(now, 'the lease expired')
    switch (this.state) {
      case 'INIT':
        return this.begin(this.setup.stateful ? 'SOLICITING' : 'INFORMING', now)
      case 'INFORMED':
        return this.begin('INFORMING', now)
      case 'SOLICITING':
        if (this.best !== undefined) return this.take(this.best, now)
        return this.send(now)
      case 'REQUESTING':
        if (this.tries >= REQ.mrc) return this.restart(now)
        return this.send(now)
      case 'CONFIRMING':
        // Nobody knows better: the addresses are good for as long as they were given for (section 18.2.3).
        if (now >= this.deadline) return this.backToBound()
        return this.send(now)
      case 'BOUND':
        return this.begin('RENEWING', now, this.lease!.rebindAt)
      case 'RENEWING':
        if (now >= this.deadline) return this.begin('REBINDING', now, this.lease!.expiresAt)
        return this.send(now)
      case 'REBINDING':
      case 'INFORMING':
        return this.send(now)
      case 'DECLINING':
        if (this.tries >= REL.mrc) return this.restart(now)
        return this.send(now)
      case 'RELEASING':
        if (this.tries >= REL.mrc) return this.released()
        return this.send(now)
      case 'RELEASED':
        this.next = Infinity
        return []
    }
  }

  /** A message came to port 546. */
  arrives(bytes: Uint8Array, now: number): Dhcpv6Action[] {
    const message = parseDhcpv6(bytes)
    if (message?.xid !== this.xid || this.tries === 0) return []
    // Sections 16.3 and 16.10.
    if (message.serverId === undefined || !sameDuid(message.clientId, this.duid)) return []
    if (message.type === ADVERTISE) return this.advertised(message, now)
    if (message.type !== REPLY) return []
    this.learnLimits(message)
    switch (this.state) {
      case 'SOLICITING':
        return message.rapidCommit ? this.takeLease(bytes, message, now) : []
      case 'REQUESTING':
        if (!sameDuid(message.serverId, this.serverId)) return []
        return this.takeLease(bytes, message, now)
      case 'RENEWING':
      case 'REBINDING':
        return this.takeLease(bytes, message, now)
      case 'CONFIRMING':
        if (message.status === NOT_ON_LINK) return this.restart(now, 'this is another link')
        return message.status === SUCCESS ? this.backToBound() : []
      case 'DECLINING':
        return this.restart(now + AGAIN_MS)
      case 'RELEASING':
        return this.released()
      case 'INFORMING':
        if (message.status !== SUCCESS) return []
        this.memory = { reply: bytes.slice(), at: now }
        this.tries = 0
        this.enter('INFORMED', now + refreshOf(message))
        return [{ do: 'informed', names: namesOf(message) }]
      default:
        return []
    }
  }

  /** Duplicate address detection found that somebody has `address`. */
  conflict(address: Address, now: number): Dhcpv6Action[] {
    if (!this.lease?.addresses.some(leased => leased.address.equals(address))) return []
    this.serverId = this.lease.serverId
    this.declined = address
    this.forget()
    return [{ do: 'lost', why: 'another station has the address' }, ...this.begin('DECLINING', now)]
  }

  /** The link was away, and may have become another one. */
  linkUp(now: number): Dhcpv6Action[] {
    if (this.state === 'RELEASED' || this.state === 'RELEASING') return []
    if (this.lease !== undefined) return this.begin('CONFIRMING', now, now + CNF_MAX_RD_MS)
    this.enter('INIT', now)
    return this.run(now)
  }

  /** Gives the addresses back: for good. Until the state is RELEASED the server has not said that it knows. */
  release(now: number): Dhcpv6Action[] {
    const { lease } = this
    if (this.state === 'RELEASING') return []
    if (lease === undefined) return this.released()
    this.serverId = lease.serverId
    this.forget()
    const actions = this.begin('RELEASING', now)
    return [...actions, { do: 'lost', why: 'released' }]
  }

  // ---- what is sent

  /** A new exchange: its first message. */
  private begin(state: Dhcpv6State, now: number, deadline = Infinity): Dhcpv6Action[] {
    this.xid = this.setup.random() & 0xffffff
    this.tries = 0
    this.rt = 0
    this.best = undefined
    this.began = now
    this.deadline = deadline
    this.enter(state, now)
    return this.send(now)
  }

  private send(now: number): Dhcpv6Action[] {
    this.next = Math.min(now + this.interval(), this.deadline)
    const elapsed = Math.min(0xffff, Math.floor((now - this.began) / 10))
    const fields = { ...this.fields(), xid: this.xid, clientId: this.duid, elapsed }
    return [{ do: 'send', bytes: emitDhcpv6(fields) }]
  }

  private fields(): Omit<Dhcpv6Fields, 'xid'> {
    const { lease, serverId } = this
    const wishes = { requested: REQUESTED, fqdn: this.fqdn() }
    switch (this.state) {
      case 'SOLICITING':
        return { type: SOLICIT, ias: this.ia(), rapidCommit: true, ...wishes }
      case 'REQUESTING':
        return { type: REQUEST, serverId, ias: this.ia(this.hint), ...wishes }
      case 'CONFIRMING':
        return { type: CONFIRM, ias: this.ia(leased(lease)) }
      case 'RENEWING':
        return { type: RENEW, serverId: lease!.serverId, ias: this.ia(leased(lease)), ...wishes }
      case 'REBINDING':
        return { type: REBIND, ias: this.ia(leased(lease)), ...wishes }
      case 'DECLINING':
        return { type: DECLINE, serverId, ias: this.ia([this.declined!]) }
      case 'RELEASING':
        return { type: RELEASE, serverId, ias: this.ia(this.hint) }
      default:
        return { type: INFORMATION_REQUEST, requested: REQUESTED_STATELESS }
    }
  }

  /** The addresses that a Request asks for, or that a Release gives back. */
  private hint: readonly Address[] = []

  /** Our association; lifetimes are the server's to choose. */
  private ia = (addresses: readonly Address[] = []) => [
    {
      iaid: this.iaid,
      t1: 0,
      t2: 0,
      status: SUCCESS,
      addresses: addresses.map(address => ({ address, preferred: 0, valid: 0 })),
    },
  ]

  private fqdn() {
    const { name } = this.setup
    return name ? { flags: FQDN_FLAGS, name } : undefined
  }

  /** Section 15: twice as long each time, within the limits, ± 10 %. The first Solicit waits no less than its time. */
  private interval(): number {
    const { irt, mrt } = this.limits()
    let jitter = this.rand() * 0.2 - 0.1
    if (this.state === 'SOLICITING' && this.tries === 0) jitter = Math.abs(jitter)
    this.rt = this.tries++ === 0 ? irt * (1 + jitter) : this.rt * (2 + jitter)
    if (mrt > 0 && this.rt > mrt) this.rt = mrt * (1 + jitter)
    return this.rt
  }

  private limits(): Retransmission {
    switch (this.state) {
      case 'SOLICITING':
        return { ...SOL, mrt: this.solMaxRt }
      case 'INFORMING':
        return { ...INF, mrt: this.infMaxRt }
      case 'REQUESTING':
        return REQ
      case 'CONFIRMING':
        return CNF
      case 'RENEWING':
      case 'REBINDING':
        return REN
      default:
        return REL
    }
  }

  private rand = () => this.setup.random() / 2 ** 32

  // ---- what arrives

  /** Until the first interval ends the best is looked for; afterwards the first is good enough (section 18.2.1). */
  private advertised(message: Dhcpv6Message, now: number): Dhcpv6Action[] {
    if (this.state !== 'SOLICITING') return []
    this.learnLimits(message)
    if (leaseOf(message, this.iaid, now) === undefined) return []
    if (message.preference === BEST_PREFERENCE || this.tries > 1) return this.take(message, now)
    if (this.best === undefined || message.preference > this.best.preference) this.best = message
    return []
  }

  private take(advertise: Dhcpv6Message, now: number): Dhcpv6Action[] {
    return this.ask(
      advertise,
      iaOf(advertise, this.iaid)!.addresses.map(a => a.address),
      now,
    )
  }

  private ask(server: Dhcpv6Message, addresses: readonly Address[], now: number): Dhcpv6Action[] {
    this.serverId = server.serverId
    this.hint = addresses
    return this.begin('REQUESTING', now)
  }

  private takeLease(bytes: Uint8Array, message: Dhcpv6Message, now: number): Dhcpv6Action[] {
    const ia = iaOf(message, this.iaid)
    if (message.status === NOT_ON_LINK || ia?.status === NOT_ON_LINK)
      return this.restart(now + AGAIN_MS, 'this is another link')
    const lease = leaseOf(message, this.iaid, now)
    if (lease !== undefined) {
      this.lease = lease
      this.memory = { reply: bytes.slice(), at: now }
      this.tries = 0
      this.enter('BOUND', lease.renewAt)
      return [{ do: 'bound', lease }]
    }
    // The server has forgotten us, not we it (section 18.2.10.1).
    if (ia?.status === NO_BINDING && this.lease !== undefined && this.state !== 'REQUESTING')
      return this.ask(message, leased(this.lease), now)
    // It takes back what there was, or has nothing after all; another failure is as if nothing had come.
    const sound = message.status === SUCCESS && ia?.status === SUCCESS
    const takenBack = sound && ia.addresses.length > 0
    const none = this.state === 'REQUESTING' && ia?.status === NO_ADDRS_AVAIL
    if (this.state === 'SOLICITING' || (!takenBack && !none)) return []
    return this.restart(now + AGAIN_MS, 'the server has no address for us')
  }

  private learnLimits({ solMaxRt, infMaxRt }: Dhcpv6Message): void {
    if (isLimit(solMaxRt)) this.solMaxRt = 1000 * solMaxRt
    if (isLimit(infMaxRt)) this.infMaxRt = 1000 * infMaxRt
  }

  // ---- states

  private backToBound(): Dhcpv6Action[] {
    this.tries = 0
    this.enter('BOUND', this.lease!.renewAt)
    return []
  }

  /** All anew at `when`; what was in use is lost. */
  private restart(when: number, why = ''): Dhcpv6Action[] {
    const lost = this.lease !== undefined
    this.forget()
    this.tries = 0
    this.enter('INIT', when)
    return lost ? [{ do: 'lost', why }] : []
  }

  private released(): Dhcpv6Action[] {
    this.forget()
    this.tries = 0
    this.enter('RELEASED', Infinity)
    return []
  }

  private forget(): void {
    this.hint = leased(this.lease)
    this.lease = this.memory = undefined
  }

  private enter(state: Dhcpv6State, next: number): void {
    this.state = state
    this.next = next
  }
}

const leased = (lease: Dhcpv6Lease | undefined) =>
  lease?.addresses.map(({ address }) => address) ?? []

/** Section 21.24: 60 to 86400 s, or the option is ignored. */
const isLimit = (seconds: number | undefined): seconds is number =>
  seconds !== undefined && seconds >= 60 && seconds <= 86_400

/** Section 21.23. */
function refreshOf({ refreshTime = REFRESH_DEFAULT_S }: Dhcpv6Message): number {
  return refreshTime === FOR_EVER ? Infinity : 1000 * Math.max(refreshTime, REFRESH_MINIMUM_S)
}
