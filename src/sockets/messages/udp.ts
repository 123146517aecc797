// UDP sockets (udp(7)): the core's endpoints, as programs have them.
import {
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAGAIN,
  EFAULT,
  EINVAL,
  EMSGSIZE,
  ENETUNREACH,
  ENOPROTOOPT,
  EOPNOTSUPP,
} from '../../base/errno.ts'
import { AF_INET6 } from '../../ffi/libc.ts'
import {
  type Endpoint,
  type Packet,
  Outgoing,
  type UdpUser,
  type Unreachable,
} from '../../stack/stack.ts'
import { UDP_HEADER_LEN } from '../../wire/udp.ts'
import type { Call } from '../calls.ts'
import type { Ground } from '../ground.ts'
import { giveInt, intOf, IPPROTO_UDP, OPT_V6ONLY, READABLE } from '../option-rules.ts'
import { bindScope, connectScope, parseBindAddress, parseSockaddr } from '../sockaddr.ts'
import * as T from '../table.ts'
import { readControl, type Said, writeControl } from './ancillary.ts'
import { Cork } from './cork.ts'
import { deliver, deliverError } from './deliver.ts'
import { readDestination } from './destination.ts'
import { EndpointGroups } from './endpoint-groups.ts'
import { reportError, reportTooBig } from './extended-error.ts'
import { wantedOf } from './filter.ts'
import { MSG_MORE, MSG_OOB } from './flags.ts'
import { getGroupOption, type GroupCalls, rejoin, setGroupOption } from './groups.ts'
import type { Inbound } from './inbound.ts'
import {
  applyOptions,
  defaultOptions,
  getIpOption,
  KIND_COLUMNS,
  setIpOption,
} from './ip-options.ts'
import type { Kind } from './kind.ts'
import type { MessageSocket } from './message-socket.ts'
import { mtuTo } from './mtu.ts'

const IPPROTO_UDPLITE = 136
const UDP_CORK = 1
const UDPLITE_SEND_CSCOV = 10
const UDPLITE_RECV_CSCOV = 11
const UDP_ENCAP = 100
const UDP_NO_CHECK6_TX = 101
const UDP_NO_CHECK6_RX = 102
const UDP_SEGMENT = 103
const UDP_GRO = 104
/** Their columns, of MessageSocket.options. */
const COLUMNS = new Map([
  [UDP_CORK, KIND_COLUMNS],
  [UDP_NO_CHECK6_TX, KIND_COLUMNS + 1],
  [UDP_NO_CHECK6_RX, KIND_COLUMNS + 2],
  [UDP_SEGMENT, KIND_COLUMNS + 3],
  [UDP_GRO, KIND_COLUMNS + 4],
  [UDP_ENCAP, KIND_COLUMNS + 5],
])
const CORK = KIND_COLUMNS
const SEGMENT = KIND_COLUMNS + 3
const ENCAP = KIND_COLUMNS + 5
/** None, ESP, L2TP: what is encapsulated comes to the program, as there is no kernel that would take it. */
const ENCAPSULATIONS = [0, 2, 3]
/** SOL_UDPLITE: Linux takes the one for the other. */
const isUdp = (level: number) => level === IPPROTO_UDP || level === IPPROTO_UDPLITE
/** More is refused before anything else is looked at. */
const MOST_TEXT = 65535
/** UDP_MAX_SEGMENTS of Linux. */
const MOST_SEGMENTS = 128

const out = new Outgoing()
const said: Said = { segment: 0 }
const from = new Int32Array(4)

class UdpSocket implements Kind, UdpUser {
  private readonly ground: Ground
  private readonly m: MessageSocket
  private readonly endpoint: Endpoint
  private readonly cork = new Cork()
  private readonly groups: GroupCalls

  constructor(ground: Ground, m: MessageSocket) {
    this.ground = ground
    this.m = m
    const endpoint = ground.stack.udp.open(m.family === AF_INET6 ? 6 : 4, this)
    // As many endpoints as records.
    if (endpoint === undefined) throw new Error('there are more UDP sockets than records')
    this.endpoint = endpoint
    this.groups = new EndpointGroups(ground.stack, endpoint)
    if (m.recovering) return
    defaultOptions(m)
    applyOptions(m, endpoint)
    m.notes[0] = 0
    m.setLocal(m.any, 0)
  }

  // ---- names

  bind(call: Call): number {
    const { m, endpoint, ground } = this
    const to = parseBindAddress(call.data, call.length, m.family)
    if (typeof to === 'number') return to
    const scope = bindScope(to)
    if (scope < 0) return scope
    if (to.address.isV4 && m.family === AF_INET6 && endpoint.v6only) return -EINVAL
    const take = () => ground.stack.udp.bind(endpoint, to.address, to.port)
    let r = take()
    if (r === -EADDRINUSE && ground.reclaimPort(to.port)) r = take()
    if (r === 0) this.keepNames()
    // Linux: one address of IPv6's is not for IPv4.
    if (r === 0 && !to.address.isUnspecified && !to.address.isV4) m.options[OPT_V6ONLY] = 1
    return r
  }

  connect(call: Call): number {
    const { m, endpoint, ground } = this
    const to = parseSockaddr(call.data, call.length, m.family)
    if (typeof to === 'number') return to
    if (to.address.isV4 && m.family === AF_INET6 && endpoint.v6only) return -ENETUNREACH
    const scope = connectScope(to, m.local)
    if (scope < 0) return scope
    const r = ground.stack.udp.connect(endpoint, to.address, to.port)
    if (r === 0) this.keepNames()
    return r
  }

  disconnect(): number {
    this.ground.stack.udp.disconnect(this.endpoint)
    this.keepNames()
    return 0
  }

  /** What the endpoint is called now, for the program and for a new stack thread. */
  private keepNames(): void {
    const { m, endpoint } = this
    m.setLocal(endpoint.local, endpoint.localPort)
    m.boundTo = endpoint.addressBound ? endpoint.local : m.any
    m.mark(T.BOUND)
    if (!endpoint.portBound) m.unmark(T.BOUND)
    m.setPeer(endpoint.connected ? endpoint.remote : undefined, endpoint.remotePort)
  }

  // ---- sending

  check(message: Inbound): number {
    const r = this.prepare(message)
    const { endpoint, ground, m } = this
    // Linux: over IPv4 that is more than any datagram, and the error queue hears nothing of it.
    if (r === -EMSGSIZE && m.family === AF_INET6) this.tellTooBig()
    if (r < 0) return r
    const length = out.length + this.cork.length
    // In segments a datagram may be longer than one.
    out.length = said.segment > 0 ? Math.min(length, said.segment) : length
    const most = ground.stack.udp.check(endpoint, out)
    if (m.get(T.PORT) === 0 && endpoint.localPort !== 0)
      m.setLocal(endpoint.local, endpoint.localPort)
    if (most === -EMSGSIZE) this.tellTooBig()
    if (most < 0 || said.segment === 0) return most
    return length > said.segment * MOST_SEGMENTS ? -EINVAL : most
  }

  private tellTooBig(): void {
    const { remote, remotePort, connected } = this.endpoint
    if (out.named) reportTooBig(this.ground, this.m, out.destination, out.port)
    else if (connected) reportTooBig(this.ground, this.m, remote, remotePort)
  }

  send(message: Inbound): number {
    const r = this.prepare(message)
    if (r < 0) return r
    const { cork, m } = this
    const more = (message.flags & MSG_MORE) !== 0 || m.options[CORK] !== 0
    if (more || !cork.isEmpty) {
      const s = cork.add(out)
      if (s < 0 || more) return s
      cork.fill(out)
      const sent = this.transmit()
      if (sent !== -EAGAIN) cork.clear()
      else cork.take(out)
      return sent
    }
    return this.transmit()
  }

  /** `out` in datagrams of the size that was said. Of segments that find no room the rest is lost, as on a full queue. */
  private transmit(): number {
    const { udp } = this.ground.stack
    const { endpoint } = this
    const size = said.segment
    if (size === 0 || out.length <= size) return this.sent(udp.send(endpoint, out))
    const end = out.at + out.length
    for (let first = true; out.at < end; out.at += size, first = false) {
      out.length = Math.min(size, end - out.at)
      const r = udp.send(endpoint, out)
      if (r < 0) return first ? r : 0
    }
    return 0
  }

  private sent(r: number): number {
    const { m, endpoint } = this
    if (m.get(T.PORT) === 0 && endpoint.localPort !== 0)
      m.setLocal(endpoint.local, endpoint.localPort)
    return Math.min(r, 0)
  }

  /** Fills `out` and `said`. 0 or a negative errno. */
  private prepare(message: Inbound): number {
    const { m, endpoint } = this
    if ((message.flags & MSG_OOB) !== 0) return -EOPNOTSUPP
    out.text(message.bytes, message.at, message.length)
    said.segment = m.options[SEGMENT]
    const named = readDestination(m, message, out)
    if (named < 0) return named
    if (message.controlLength > 0) {
      const r = readControl(message, out, said)
      if (r < 0) return r
    }
    if (message.length > MOST_TEXT) return -EMSGSIZE
    if (endpoint.v6only && out.named && isMapped(out.words)) return -ENETUNREACH
    return 0
  }

  // ---- arriving

  arrives(
    _endpoint: Endpoint,
    packet: Packet,
    srcPort: number,
    at: number,
    length: number,
  ): boolean {
    const { ground, m } = this
    const { outbound } = ground.messages
    let wanted = length
    if (m.filter !== undefined) {
      const whole = UDP_HEADER_LEN + length
      const some = wantedOf(ground, m, packet, at - UDP_HEADER_LEN, whole)
      if (some === 0) return true
      wanted = Math.max(0, some - UDP_HEADER_LEN)
    }
    outbound.begin()
    for (let i = 0; i < 4; i++) from[i] = packet.srcWord(i)
    outbound.nameIp(m.family, from, 0, srcPort)
    writeControl(m, outbound, packet, m.get(T.PORT))
    return deliver(ground, m, packet.bytes, at, wanted)
  }

  failed(_endpoint: Endpoint, error: Unreachable): void {
    reportError(this.ground, this.m, error, UDP_HEADER_LEN, error.dstPort)
  }

  // ---- options

  setOption(call: Call): number | undefined {
    const { m, endpoint } = this
    const [level, name] = call.arg
    if (isUdp(level)) return this.setUdp(name, call)
    const r = setIpOption(m, endpoint, call) ?? setGroupOption(m, endpoint, this.groups, call)
    const { held } = endpoint
    if (held !== undefined && (held.reuse !== endpoint.reuse || held.share !== endpoint.share))
      this.ground.stack.udp.shareAgain(endpoint)
    return r
  }

  private setUdp(name: number, call: Call): number {
    const { m, cork } = this
    if (call.length < 4) return -EINVAL
    if (call.arg[2] !== READABLE) return -EFAULT
    const value = intOf(call)
    if (name === UDP_ENCAP) {
      if (!ENCAPSULATIONS.includes(value)) return -ENOPROTOOPT
      m.options[ENCAP] = value
      return 0
    }
    const column = COLUMNS.get(name)
    if (column === undefined) return -ENOPROTOOPT
    if (name === UDP_SEGMENT && (value < 0 || value > 65535)) return -EINVAL
    m.options[column] = name === UDP_SEGMENT ? value : Number(value !== 0)
    if (name === UDP_CORK && value === 0 && !cork.isEmpty) {
      said.segment = m.options[SEGMENT]
      cork.fill(out)
      this.transmit()
      cork.clear()
    }
    return 0
  }

  getOption(call: Call): number | undefined {
    const { m, endpoint } = this
    const [level, name] = call.arg
    if (isUdp(level)) {
      if (call.arg[2] < 0) return -EINVAL
      const column = COLUMNS.get(name)
      if (name === UDPLITE_SEND_CSCOV || name === UDPLITE_RECV_CSCOV) return giveInt(call, 0)
      return column === undefined ? -ENOPROTOOPT : giveInt(call, m.options[column])
    }
    return (
      getIpOption(m, call, () => mtuTo(this.ground, endpoint)) ??
      getGroupOption(m, endpoint, this.groups, call)
    )
  }

  // ---- ends

  close(): void {
    this.ground.stack.udp.close(this.endpoint)
  }

  recover(): void {
    const { m, endpoint, ground } = this
    const { udp } = ground.stack
    const port = m.get(T.PORT)
    applyOptions(m, endpoint)
    if (port !== 0) {
      udp.bind(endpoint, m.boundTo, port, true)
      endpoint.portBound = m.has(T.BOUND)
    }
    if (m.connected && udp.connect(endpoint, m.remote, m.get(T.REMOTE_PORT)) < 0)
      // The network is not there yet: the peer is lost, and an error says so.
      deliverError(ground, m, EADDRNOTAVAIL)
    rejoin(m, endpoint, this.groups)
  }
}

const isMapped = (words: Int32Array) => words[4] === 0 && words[5] === 0 && words[6] === 0xffff

export const udpSocket = (ground: Ground, m: MessageSocket): Kind => new UdpSocket(ground, m)
