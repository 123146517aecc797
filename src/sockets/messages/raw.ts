// Raw sockets (raw(7), ipv6(7)): the port of their name is their protocol.
import { EADDRINUSE, EFAULT, EINVAL, ENOBUFS, ENOPROTOOPT, EOPNOTSUPP } from '../../base/errno.ts'
import { AF_INET6 } from '../../ffi/libc.ts'
import {
  IPPROTO_RAW,
  type Outgoing,
  type RawEndpoint,
  type Unreachable,
} from '../../stack/stack.ts'
import { IPPROTO_ICMP } from '../../wire/ipv4.ts'
import { IPPROTO_ICMPV6 } from '../../wire/ipv6.ts'
import type { Call } from '../calls.ts'
import type { Ground } from '../ground.ts'
import {
  giveBytes,
  giveInt,
  intOf,
  READABLE,
  IPPROTO_IP,
  IPPROTO_IPV6,
  SOL_RAW,
  wrong,
} from '../option-rules.ts'
import { KIND_COLUMNS } from './ip-options.ts'
import type { Kind } from './kind.ts'
import type { MessageSocket } from './message-socket.ts'
import { SenderSocket } from './sender-socket.ts'

const ICMP_FILTER = 1
const IP_HDRINCL = 3
const IP_ROUTER_ALERT = 5
const IP_NODEFRAG = 22
const IPV6_CHECKSUM = 7
const IPV6_HDRINCL = 36

// Columns of MessageSocket.options.
const HDRINCL = KIND_COLUMNS
const CHECKSUM = KIND_COLUMNS + 1
const ROUTER_ALERT = KIND_COLUMNS + 2
const NODEFRAG = KIND_COLUMNS + 3
const FILTER = KIND_COLUMNS + 4

class RawSocket extends SenderSocket<RawEndpoint> {
  constructor(ground: Ground, m: MessageSocket) {
    const { raw } = ground.stack
    super(ground, m, raw, user => raw.open(m.family === AF_INET6 ? 6 : 4, m.protocol, user))
    if (m.recovering) return
    this.keepOptions()
    m.setLocal(m.any, this.localPort)
  }

  protected get localPort(): number {
    return this.endpoint.protocol
  }

  /** With IP_HDRINCL the IP header is text. */
  protected quotedFrom({ ip, transport }: Unreachable): number {
    return this.endpoint.headerIncluded ? ip - transport : 0
  }

  /** IPv6: the port may repeat the protocol. */
  protected override mayName({ named, port }: Outgoing): number {
    const { family, protocol } = this.endpoint
    if (family === 4 || !named || port === 0) return 0
    return (port === protocol || protocol === IPPROTO_RAW) && port <= 255 ? 0 : -EINVAL
  }

  // ---- options

  override setOption(call: Call): number | undefined {
    const [level, name] = call.arg
    const r = this.isFilter(level, name) ? this.setFilter(call) : this.setOwn(level, name, call)
    if (r === 0) this.keepOptions()
    return r ?? super.setOption(call)
  }

  /** Undefined: another option. */
  private setOwn(level: number, name: number, call: Call): number | undefined {
    const { endpoint } = this
    const value = intOf(call)
    if (endpoint.family === 4 && level === IPPROTO_IP) return this.setOwn4(name, value, call)
    // IPv4's are for sockets of streams and datagrams only (Linux).
    if (level === IPPROTO_IP) return -ENOPROTOOPT
    const own = this.isOwn6(level, name)
    if (level === SOL_RAW || own) {
      const bad = endpoint.family === 6 ? wrong(call, 4) : undefined
      if (bad !== undefined) return bad
    }
    if (!own) return level === SOL_RAW ? -ENOPROTOOPT : undefined
    if (name === IPV6_HDRINCL) {
      endpoint.headerIncluded = value !== 0
      return 0
    }
    // RFC 3542 section 3.1: ICMPv6's is always there.
    if (endpoint.protocol === IPPROTO_ICMPV6 && level === IPPROTO_IPV6) return -EINVAL
    if (value > 0 && (value & 1) === 1) return -EINVAL
    endpoint.checksumOffset = Math.max(-1, value)
    return 0
  }

  private setOwn4(name: number, value: number, call: Call): number | undefined {
    const { endpoint, m } = this
    if (name !== IP_HDRINCL && name !== IP_ROUTER_ALERT && name !== IP_NODEFRAG) return undefined
    const bad = wrong(call, 0)
    if (bad !== undefined) return bad
    if (name === IP_HDRINCL) endpoint.headerIncluded = value !== 0
    // Packets that a router has to look at come with all others: who takes them is only remembered.
    else if (name === IP_NODEFRAG) m.options[NODEFRAG] = Number(value !== 0)
    else if (endpoint.protocol === IPPROTO_RAW) return -EINVAL
    else if (value === 0 && m.options[ROUTER_ALERT] === 0) return -ENOBUFS
    else if (value !== 0 && m.options[ROUTER_ALERT] !== 0) return -EADDRINUSE
    else m.options[ROUTER_ALERT] = Number(value !== 0)
    return 0
  }

  /** Of IPv6's raw sockets, at either level. */
  private isOwn6(level: number, name: number): boolean {
    if (this.endpoint.family === 4 || (level !== IPPROTO_IPV6 && level !== SOL_RAW)) return false
    return name === IPV6_CHECKSUM || name === IPV6_HDRINCL
  }

  private isFilter(level: number, name: number): boolean {
    if (this.endpoint.family === 6) return level === IPPROTO_ICMPV6
    return level === SOL_RAW && name === ICMP_FILTER
  }

  private get filterProblem(): number {
    const { family, protocol } = this.endpoint
    return protocol === (family === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6) ? 0 : -EOPNOTSUPP
  }

  private setFilter(call: Call): number {
    const { filterProblem } = this
    if (filterProblem < 0) return filterProblem
    if (call.arg[1] !== ICMP_FILTER) return -ENOPROTOOPT
    if (call.length > 0 && call.arg[2] !== READABLE) return -EFAULT
    const bytes = this.filterBytes
    bytes.set(call.data.subarray(0, Math.min(call.length, bytes.length)))
    return 0
  }

  private get filterBytes(): Uint8Array {
    const { icmpFilter, family } = this.endpoint
    return new Uint8Array(icmpFilter.buffer, 0, family === 4 ? 4 : 32)
  }

  override getOption(call: Call): number | undefined {
    const { endpoint } = this
    const [level, name] = call.arg
    if (this.isFilter(level, name)) {
      const { filterProblem } = this
      if (filterProblem < 0) return filterProblem
      if (call.arg[2] < 0) return -EINVAL
      return name === ICMP_FILTER ? giveBytes(call, this.filterBytes) : -ENOPROTOOPT
    }
    if (endpoint.family === 6 && level === IPPROTO_IP) return -ENOPROTOOPT
    if (level === IPPROTO_IP && call.arg[2] < 0) return -EINVAL
    if (endpoint.family === 4 && level === IPPROTO_IP && name === IP_HDRINCL)
      return giveInt(call, Number(endpoint.headerIncluded))
    if (endpoint.family === 4 && level === IPPROTO_IP && name === IP_ROUTER_ALERT)
      return giveInt(call, this.m.options[ROUTER_ALERT])
    if (endpoint.family === 4 && level === IPPROTO_IP && name === IP_NODEFRAG)
      return giveInt(call, this.m.options[NODEFRAG])
    if (this.isOwn6(level, name))
      return giveInt(
        call,
        name === IPV6_HDRINCL ? Number(endpoint.headerIncluded) : endpoint.checksumOffset,
      )
    return level === SOL_RAW ? -ENOPROTOOPT : super.getOption(call)
  }

  /** For a new stack thread. */
  private keepOptions(): void {
    const { endpoint, m } = this
    m.options[HDRINCL] = Number(endpoint.headerIncluded)
    m.options[CHECKSUM] = endpoint.checksumOffset
    m.options.set(endpoint.icmpFilter, FILTER)
  }

  override recover(): void {
    const { endpoint, m } = this
    endpoint.headerIncluded = m.options[HDRINCL] !== 0
    endpoint.checksumOffset = m.options[CHECKSUM]
    endpoint.icmpFilter.set(m.options.subarray(FILTER, FILTER + endpoint.icmpFilter.length))
    super.recover()
  }
}

export const rawSocket = (ground: Ground, m: MessageSocket): Kind => new RawSocket(ground, m)
