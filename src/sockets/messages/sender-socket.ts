// What raw and ping sockets have in common: names, options, what a message says, errors.
import { EADDRNOTAVAIL, EMSGSIZE, EOPNOTSUPP } from '../../base/errno.ts'
import { Outgoing, type Packet, type Sender, type Unreachable } from '../../stack/stack.ts'
import type { Address } from '../../wire/address.ts'
import type { Call } from '../calls.ts'
import type { Ground } from '../ground.ts'
import { OPT_REUSEADDR } from '../option-rules.ts'
import { bindScope, connectScope, parseBindAddress, parseSockaddr } from '../sockaddr.ts'
import * as T from '../table.ts'
import { readControl, type Said, writeControl } from './ancillary.ts'
import { deliver, deliverError } from './deliver.ts'
import { readDestination } from './destination.ts'
import { EndpointGroups } from './endpoint-groups.ts'
import { reportError, reportTooBig } from './extended-error.ts'
import { wantedOf } from './filter.ts'
import { MSG_OOB } from './flags.ts'
import { getGroupOption, rejoin, setGroupOption } from './groups.ts'
import type { Inbound } from './inbound.ts'
import { applyOptions, defaultOptions, getIpOption, setIpOption } from './ip-options.ts'
import type { Kind } from './kind.ts'
import type { MessageSocket } from './message-socket.ts'
import { mtuTo } from './mtu.ts'

/** The kind's part of the core. Functions give 0, a length, or a negative errno. */
export interface SenderCore<E extends Sender> {
  /** `port` 0: any; `again`: as it was before. */
  bind(endpoint: E, address: Address, port: number, again: boolean): number
  connect(endpoint: E, remote: Address): number
  disconnect(endpoint: E): void
  check(endpoint: E, out: Outgoing): number
  send(endpoint: E, out: Outgoing): number
  close(endpoint: E): void
}

/** Who is told what an endpoint gets. */
export interface SenderUser {
  arrives(endpoint: Sender, packet: Packet, at: number, length: number): boolean
  failed(endpoint: Sender, error: Unreachable): void
}

const MOST = 65535

const out = new Outgoing()
const said: Said = { segment: 0 }
const from = new Int32Array(4)

export abstract class SenderSocket<E extends Sender> implements Kind, SenderUser {
  protected readonly m: MessageSocket
  protected readonly endpoint: E
  private readonly ground: Ground
  private readonly core: SenderCore<E>
  private readonly groups: EndpointGroups

  constructor(ground: Ground, m: MessageSocket, core: SenderCore<E>, open: (u: SenderUser) => E) {
    this.ground = ground
    this.m = m
    this.core = core
    this.endpoint = open(this)
    this.groups = new EndpointGroups(ground.stack, this.endpoint)
    if (m.recovering) return
    defaultOptions(m)
    // Linux: SO_REUSEADDR is set.
    m.options[OPT_REUSEADDR] = 1
    applyOptions(m, this.endpoint)
    m.notes[0] = 0
  }

  /** getsockname(2)'s. */
  protected abstract get localPort(): number
  /** How far behind the start of the quoted transport header an error's text is to begin. */
  protected abstract quotedFrom(error: Unreachable): number

  // ---- names

  bind(call: Call): number {
    const { m } = this
    const to = parseBindAddress(call.data, call.length, m.family)
    if (typeof to === 'number') return to
    const scope = bindScope(to)
    if (scope < 0) return scope
    if (to.address.isV4 !== m.any.isV4) return -EADDRNOTAVAIL
    const r = this.core.bind(this.endpoint, to.address, to.port, false)
    if (r === 0) this.keepNames()
    return r
  }

  connect(call: Call): number {
    const { m } = this
    const to = parseSockaddr(call.data, call.length, m.family)
    if (typeof to === 'number') return to
    const scope = connectScope(to, m.local)
    if (scope < 0) return scope
    const r = this.core.connect(this.endpoint, to.address)
    if (r < 0) return r
    m.set(T.REMOTE_PORT, to.port)
    this.keepNames()
    return 0
  }

  disconnect(): number {
    this.core.disconnect(this.endpoint)
    this.keepNames()
    return 0
  }

  /** What the endpoint is called now, for the program and for a new stack thread. */
  protected keepNames(): void {
    const { m, endpoint } = this
    m.setLocal(endpoint.local, this.localPort)
    m.boundTo = endpoint.addressBound ? endpoint.local : m.any
    m.setPeer(endpoint.connected ? endpoint.remote : undefined, m.get(T.REMOTE_PORT))
  }

  // ---- sending

  check(message: Inbound): number {
    const r = this.prepare(message)
    if (r < 0) return r
    const { endpoint } = this
    const most = this.named(this.core.check(endpoint, out))
    if (most === -EMSGSIZE)
      reportTooBig(this.ground, this.m, out.named ? out.destination : endpoint.remote, 0)
    return most
  }

  send(message: Inbound): number {
    const r = this.prepare(message)
    return r < 0 ? r : Math.min(0, this.named(this.core.send(this.endpoint, out)))
  }

  /** Sending may have given it its name. */
  private named(r: number): number {
    const { m, localPort } = this
    if (m.get(T.PORT) !== localPort) m.setLocal(this.endpoint.local, localPort)
    return r
  }

  /** Fills `out`. 0 or a negative errno. */
  private prepare(message: Inbound): number {
    if (message.length > MOST) return -EMSGSIZE
    if ((message.flags & MSG_OOB) !== 0) return -EOPNOTSUPP
    out.text(message.bytes, message.at, message.length)
    const named = readDestination(this.m, message, out)
    if (named < 0) return named
    const r = this.mayName(out)
    if (r < 0 || message.controlLength === 0) return r
    return readControl(message, out, said)
  }

  /** Is the destination one for this kind? 0 or a negative errno. */
  protected mayName(_out: Outgoing): number {
    return 0
  }

  // ---- arriving

  arrives(_endpoint: Sender, packet: Packet, at: number, length: number): boolean {
    const { ground, m } = this
    const { outbound } = ground.messages
    const wanted = wantedOf(ground, m, packet, at, length)
    if (wanted === 0 && m.filter !== undefined) return true
    outbound.begin()
    for (let i = 0; i < 4; i++) from[i] = packet.srcWord(i)
    outbound.nameIp(m.family, from, 0, 0)
    writeControl(m, outbound, packet, m.get(T.PORT))
    return deliver(ground, m, packet.bytes, at, wanted)
  }

  failed(_endpoint: Sender, error: Unreachable): void {
    reportError(this.ground, this.m, error, this.quotedFrom(error), 0)
  }

  // ---- options

  setOption(call: Call): number | undefined {
    const { m, endpoint } = this
    return setIpOption(m, endpoint, call) ?? setGroupOption(m, endpoint, this.groups, call)
  }

  getOption(call: Call): number | undefined {
    const { m, endpoint, ground } = this
    return (
      getIpOption(m, call, () => mtuTo(ground, endpoint)) ??
      getGroupOption(m, endpoint, this.groups, call)
    )
  }

  // ---- ends

  close(): void {
    this.core.close(this.endpoint)
  }

  recover(): void {
    const { m, endpoint, core } = this
    applyOptions(m, endpoint)
    const port = m.get(T.PORT)
    if (port !== 0 || !m.boundTo.isUnspecified) core.bind(endpoint, m.boundTo, port, true)
    if (m.connected && core.connect(endpoint, m.remote) < 0)
      // The network is not there yet: the peer is lost, and an error says so.
      deliverError(this.ground, m, EADDRNOTAVAIL)
    rejoin(m, endpoint, this.groups)
  }
}
