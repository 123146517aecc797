// A DHCP client (RFC 2131 section 4.4): events in, values out. Messages, answers to ARP probes and the passing of time
// come in, each with `now` (ms); what is to be done comes out as a list of actions, in order. It has no socket, no clock
// and no stack.
//
//   INIT ─▶ SELECTING ─▶ REQUESTING ─▶ CHECKING ─▶ BOUND ─▶ RENEWING ─▶ REBINDING
//                                         │          ▲  (T1)        (T2)      │ the lease ends
//    ▲ NAK, or nobody answers, or DECLINE ┘          └─ REBOOTING             ▼
//    └───────────────────────────────────────────────── (link up again) ──── lost
//
// It answers the first server that offers. It asks for broadcast answers until it has an address, since a stack takes no
// packet to an address that it does not have. Its identifier is its MAC's, which is what reservations are made for.
import { Address, ANY_V4 } from '../wire/address.ts'
import {
  BOOTREPLY,
  BOOTREQUEST,
  DHCPACK,
  DHCPDECLINE,
  DHCPDISCOVER,
  DHCPNAK,
  DHCPOFFER,
  DHCPRELEASE,
  DHCPREQUEST,
  emitDhcp,
  parseDhcp,
  type DhcpMessage,
} from '../wire/dhcp.ts'
import {
  ethernetClientId,
  OPT_CLASSLESS_ROUTES,
  OPT_CLIENT_ID,
  OPT_DNS,
  OPT_DOMAIN_NAME,
  OPT_DOMAIN_SEARCH,
  OPT_FQDN,
  OPT_HOST_NAME,
  OPT_MAX_SIZE,
  OPT_MTU,
  OPT_PARAMETERS,
  OPT_REBINDING_TIME,
  OPT_RENEWAL_TIME,
  OPT_REQUESTED_ADDRESS,
  OPT_ROUTER,
  OPT_SERVER_ID,
  OPT_SUBNET_MASK,
  readAddress,
  readMessage,
  writtenAddress,
  writtenFqdn,
  writtenU16,
} from '../wire/dhcp-options.ts'
import type { Mac } from '../wire/mac.ts'
import { isHost, leaseOf, type DhcpLease } from './dhcp-lease.ts'

export type DhcpState =
  | 'INIT'
  | 'SELECTING'
  | 'REQUESTING'
  | 'CHECKING'
  | 'BOUND'
  | 'RENEWING'
  | 'REBINDING'
  | 'REBOOTING'
  | 'RELEASED'

export type DhcpAction =
  /** From port 68 to port 67. */
  | {
      readonly do: 'send'
      readonly bytes: Uint8Array
      readonly src: Address
      readonly dst: Address
    }
  /** Ask the link whether somebody has the address, then call probed(). */
  | { readonly do: 'probe'; readonly address: Address }
  /** This lease is to be used from now on: a new one, or one renewed. */
  | { readonly do: 'bound'; readonly lease: DhcpLease }
  /** What the last lease gave must not be used any more. */
  | { readonly do: 'lost'; readonly why: string }

/** What another client needs to go on with this one's lease: the ACK and when it was asked for. */
export interface DhcpMemory {
  readonly ack: Uint8Array
  readonly requestedAt: number
}

export interface DhcpSetup {
  readonly mac: Mac
  /** 32 random bits. */
  readonly random: () => number
  /** What the server is to call us: a name with a dot goes as FQDN (RFC 4702), another as host name. */
  readonly name?: string | undefined
}

const BROADCAST = Address.v4(-1)
/** Section 4.1: 4 s, then twice as long each time up to 64 s, all ± 1 s. */
const FIRST_RETRY_MS = 4000
const MAX_RETRY_MS = 64_000
/** Section 4.4.5: a renewal is repeated after half of what is left, but not before a minute. */
const MIN_RENEWAL_MS = 60_000
/** Requests before it all begins anew (section 3.1: "four times, for a total delay of 60 seconds"). */
const REQUESTS = 4
const REBOOT_REQUESTS = 2
/** Section 3.1, 5: after DECLINE. */
const DECLINED_MS = 10_000
/** A server that says NAK to what it offers is not asked faster and faster. */
const FIRST_NAK_MS = 1000
const MAX_NAK_MS = 64_000
/** What fits into a packet of every Ethernet. */
const MAX_SIZE = 1472
/** RFC 3442: the classless routes before the router. */
const PARAMETERS = Uint8Array.of(
  OPT_SUBNET_MASK,
  OPT_CLASSLESS_ROUTES,
  OPT_ROUTER,
  OPT_DNS,
  OPT_DOMAIN_NAME,
  OPT_DOMAIN_SEARCH,
  OPT_MTU,
  OPT_RENEWAL_TIME,
  OPT_REBINDING_TIME,
)

export class DhcpClient {
  state: DhcpState = 'INIT'
  /** When run() has something to do. */
  next: number
  /** Of the states from CHECKING to REBOOTING. */
  lease: DhcpLease | undefined
  memory: DhcpMemory | undefined
  private readonly setup: DhcpSetup
  private xid = 0
  /** When this attempt to get an address began: what `secs` counts from. */
  private began: number
  private tries = 0
  private naks = 0
  /** When the request was sent first to which an ACK may come. */
  private requestedAt = 0
  private offer: { readonly address: Address; readonly server: Address } | undefined

  /** Begins at once, or goes on with what another client left. */
  constructor(setup: DhcpSetup, now: number, memory?: DhcpMemory) {
    this.setup = setup
    this.began = this.next = now
    const ack = memory && parseDhcp(memory.ack)
    const lease = ack && leaseOf(ack, memory.requestedAt)
    if (lease === undefined || lease.expiresAt <= now) return
    this.lease = lease
    this.memory = memory
    this.enter('BOUND', lease.renewAt)
  }

  /** What is due. */
  run(now: number): DhcpAction[] {
    if (now < this.next) return []
    const { lease } = this
    if (lease !== undefined && now >= lease.expiresAt) return this.restart(now, 'the lease expired')
    switch (this.state) {
      case 'INIT':
        this.began = now
        this.newExchange()
        this.enter('SELECTING', now)
        return this.discover(now)
      case 'SELECTING':
        return this.discover(now)
      case 'REQUESTING':
        if (this.tries >= REQUESTS) return this.restart(now)
        return this.request(now)
      case 'REBOOTING':
        // Nobody answers: the lease is good for as long as it was given for (section 3.2).
        if (this.tries >= REBOOT_REQUESTS) return this.backToBound()
        return this.request(now)
      case 'BOUND':
        this.began = this.requestedAt = now
        this.newExchange()
        this.enter('RENEWING', now)
        return this.renew(now)
      case 'RENEWING':
        if (now >= lease!.rebindAt) {
          this.newExchange()
          this.requestedAt = now
          this.enter('REBINDING', now)
        }
        return this.renew(now)
      case 'REBINDING':
        return this.renew(now)
      case 'CHECKING':
      case 'RELEASED':
        return []
    }
  }

  /** A message came to port 68. */
  arrives(bytes: Uint8Array, now: number): DhcpAction[] {
    const message = parseDhcp(bytes)
    if (message?.op !== BOOTREPLY || message.xid !== this.xid) return []
    if (!message.chaddr.equals(this.setup.mac)) return []
    const server = readAddress(message.options, OPT_SERVER_ID)
    if (server === undefined || !isHost(server)) return []
    switch (this.state) {
      case 'SELECTING':
        return message.type === DHCPOFFER ? this.takeOffer(message, server, now) : []
      case 'REQUESTING':
        if (!server.equals(this.offer!.server)) return []
        return this.takeAnswer(bytes, message, now)
      case 'RENEWING':
        if (message.type === DHCPNAK && !server.equals(this.lease!.server)) return []
        return this.takeAnswer(bytes, message, now)
      case 'REBINDING':
      case 'REBOOTING':
        return this.takeAnswer(bytes, message, now)
      default:
        return []
    }
  }

  /** The answer to 'probe': nobody has the address, or somebody has. */
  probed(free: boolean, now: number): DhcpAction[] {
    if (this.state !== 'CHECKING') return []
    if (!free) return this.decline(now, false)
    if (now >= this.lease!.expiresAt) return this.restart(now)
    return this.bind()
  }

  /** Another station uses the address that we have (RFC 5227 section 2.4). */
  conflict(now: number): DhcpAction[] {
    return this.holds ? this.decline(now, true) : []
  }

  /** The link was away, and may have become another one: the address is confirmed (section 3.2). */
  linkUp(now: number): DhcpAction[] {
    if (!this.holds) {
      if (this.state !== 'RELEASED') this.enter('INIT', now)
      return this.run(now)
    }
    this.newExchange()
    this.began = this.requestedAt = now
    this.enter('REBOOTING', now)
    return this.run(now)
  }

  /** Gives the address back: for good. */
  release(): DhcpAction[] {
    const { lease } = this
    const held = this.holds
    this.enter('RELEASED', Infinity)
    this.lease = this.memory = undefined
    if (!held) return []
    this.newExchange()
    const { address, server } = lease!
    const options = [[OPT_SERVER_ID, writtenAddress(server)]] as const
    const bytes = this.message(DHCPRELEASE, { ciaddr: address }, options)
    return [
      { do: 'send', bytes, src: address, dst: server },
      { do: 'lost', why: 'released' },
    ]
  }

  /** It has an address that is in use. */
  private get holds(): boolean {
    return ['BOUND', 'RENEWING', 'REBINDING', 'REBOOTING'].includes(this.state)
  }

  // ---- what is sent

  private discover(now: number): DhcpAction[] {
    this.next = now + this.retry(FIRST_RETRY_MS, MAX_RETRY_MS)
    return [this.broadcast(this.message(DHCPDISCOVER, this.waiting(now), this.wishes()))]
  }

  /** For what was offered, or for what we had. */
  private request(now: number): DhcpAction[] {
    this.next = now + this.retry(FIRST_RETRY_MS, MAX_RETRY_MS)
    const address = this.offer?.address ?? this.lease!.address
    const options: Options = [[OPT_REQUESTED_ADDRESS, writtenAddress(address)]]
    if (this.offer !== undefined) options.push([OPT_SERVER_ID, writtenAddress(this.offer.server)])
    const bytes = this.message(DHCPREQUEST, this.waiting(now), [...options, ...this.wishes()])
    return [this.broadcast(bytes)]
  }

  /** To the server, or in REBINDING to all. */
  private renew(now: number): DhcpAction[] {
    const { address, server, rebindAt, expiresAt } = this.lease!
    const end = this.state === 'RENEWING' ? rebindAt : expiresAt
    this.next = Math.min(end, now + Math.max((end - now) / 2, MIN_RENEWAL_MS))
    const fields = { ciaddr: address, secs: this.secs(now) }
    const bytes = this.message(DHCPREQUEST, fields, this.wishes())
    const dst = this.state === 'RENEWING' ? server : BROADCAST
    return [{ do: 'send', bytes, src: address, dst }]
  }

  private decline(now: number, inUse: boolean): DhcpAction[] {
    const { address, server } = this.lease!
    this.newExchange()
    this.forget()
    this.enter('INIT', now + DECLINED_MS)
    const options: Options = [
      [OPT_REQUESTED_ADDRESS, writtenAddress(address)],
      [OPT_SERVER_ID, writtenAddress(server)],
    ]
    const decline = this.broadcast(this.message(DHCPDECLINE, {}, options))
    return inUse ? [{ do: 'lost', why: 'another station has the address' }, decline] : [decline]
  }

  private message(type: number, fields: Partial<DhcpMessage>, options: Iterable<Option>) {
    const { mac } = this.setup
    return emitDhcp({
      op: BOOTREQUEST,
      type,
      xid: this.xid,
      chaddr: mac,
      ...fields,
      options: new Map<number, Uint8Array>([[OPT_CLIENT_ID, ethernetClientId(mac)], ...options]),
    })
  }

  /** What DISCOVER and REQUEST say of us and ask for. */
  private wishes(): Options {
    const { name } = this.setup
    const wishes: Options = [
      [OPT_MAX_SIZE, writtenU16(MAX_SIZE)],
      [OPT_PARAMETERS, PARAMETERS],
    ]
    const fqdn = name?.includes('.') ? writtenFqdn(name) : undefined
    if (fqdn !== undefined) wishes.push([OPT_FQDN, fqdn])
    else if (name) wishes.push([OPT_HOST_NAME, Buffer.from(name)])
    return wishes
  }

  /** Fields while there is no address. */
  private waiting = (now: number) => ({ secs: this.secs(now), broadcast: true })

  private secs = (now: number) => Math.min(0xffff, Math.floor((now - this.began) / 1000))

  private broadcast = (bytes: Uint8Array): DhcpAction => ({
    do: 'send',
    bytes,
    src: ANY_V4,
    dst: BROADCAST,
  })

  // ---- what arrives

  private takeOffer(message: DhcpMessage, server: Address, now: number): DhcpAction[] {
    // The lease that it would be: what is no lease is not asked for.
    if (leaseOf(message, now) === undefined) return []
    this.offer = { address: message.yiaddr, server }
    this.tries = 0
    this.requestedAt = now
    this.enter('REQUESTING', now)
    return this.request(now)
  }

  private takeAnswer(bytes: Uint8Array, message: DhcpMessage, now: number): DhcpAction[] {
    if (message.type === DHCPNAK) return this.refused(message, now)
    if (message.type !== DHCPACK) return []
    const lease = leaseOf(message, this.requestedAt)
    const asked = this.offer?.address ?? this.lease!.address
    if (lease === undefined || !lease.address.equals(asked)) return []
    this.lease = lease
    this.memory = { ack: bytes.slice(), requestedAt: this.requestedAt }
    this.offer = undefined
    this.naks = 0
    if (this.state !== 'REQUESTING') return this.bind()
    this.enter('CHECKING', Infinity)
    return [{ do: 'probe', address: lease.address }]
  }

  private refused(message: DhcpMessage, now: number): DhcpAction[] {
    const delay = Math.min(FIRST_NAK_MS * 2 ** this.naks, MAX_NAK_MS)
    this.naks++
    const why = readMessage(message.options)
    return this.restart(now + delay, why === undefined ? 'refused' : `refused: ${why}`)
  }

  // ---- states

  private bind(): DhcpAction[] {
    const lease = this.lease!
    this.enter('BOUND', lease.renewAt)
    return [{ do: 'bound', lease }]
  }

  private backToBound(): DhcpAction[] {
    this.enter('BOUND', this.lease!.renewAt)
    return []
  }

  /** All anew at `when`; what was in use is lost. */
  private restart(when: number, why = ''): DhcpAction[] {
    const lost = this.holds
    this.forget()
    this.enter('INIT', when)
    return lost ? [{ do: 'lost', why }] : []
  }

  private forget(): void {
    this.lease = this.memory = this.offer = undefined
  }

  private newExchange(): void {
    this.xid = this.setup.random()
    this.tries = 0
    this.offer = undefined
  }

  private enter(state: DhcpState, next: number): void {
    this.state = state
    this.next = next
  }

  /** How long to wait for an answer to this try. */
  private retry(first: number, most: number): number {
    const jitter = (this.setup.random() / 2 ** 32) * 2000 - 1000
    return Math.min(first * 2 ** this.tries++, most) + jitter
  }
}

type Option = readonly [code: number, value: Uint8Array]
type Options = Option[]
