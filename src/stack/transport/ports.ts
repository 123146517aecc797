// Who uses which local port: one table for TCP, one for UDP. Rules are Linux's:
// - two uses of a port conflict if their addresses overlap, unless both allow reuse and neither listens (SO_REUSEADDR),
//   or both share it (SO_REUSEPORT);
// - the unspecified address overlaps all of its family; :: also those of IPv4, unless IPV6_V6ONLY;
// - a connection uses its port until its last state is over: TIME-WAIT keeps a port from whoever does not reuse.
// Uses that are alike are one entry with a count, so a listener with 10,000 connections is two entries.
import { EADDRINUSE } from '../../base/errno.ts'
import type { Address } from '../../wire/address.ts'

/** Linux's net.ipv4.ip_local_port_range. */
export const EPHEMERAL_FIRST = 32768
export const EPHEMERAL_LAST = 60999
const HALF_COUNT = (EPHEMERAL_LAST - EPHEMERAL_FIRST + 1) / 2
const EVEN = 0
const ODD = 1

/** By whom: a socket's bind(), a listener, a connection. */
export type Use = 'bound' | 'listening' | 'connection'

interface Entry {
  readonly address: Address
  readonly v6only: boolean
  readonly reuse: boolean
  readonly share: boolean
  readonly use: Use
  count: number
}

export class Ports {
  private readonly entries = new Map<number, Entry[]>()
  private readonly random: () => number
  private readonly apart: boolean

  /**
   * `random`: 32 unpredictable bits. `apart`: as Linux's TCP, where bind() gives odd ports as long as there are any and
   * connect() even ones, so that who connects to where nobody listens any more does not connect to itself.
   */
  constructor(random: () => number, apart = false) {
    this.random = random
    this.apart = apart
  }

  /** Takes `port` (0: any free one) for a socket. The port, or -EADDRINUSE. */
  bind(address: Address, port: number, v6only: boolean, reuse: boolean, share = false): number {
    if (port === 0) port = this.anyFree()
    if (port === 0 || this.conflicts(address, port, v6only, reuse, share)) return -EADDRINUSE
    this.hold(address, port, v6only, reuse, 'bound', share)
    return port
  }

  /** May a socket bound so begin to listen? Only another listener can be in the way, that does not share. */
  mayListen(address: Address, port: number, v6only: boolean, share = false): boolean {
    const list = this.entries.get(port) ?? []
    return !list.some(
      e => e.use === 'listening' && overlap(e, address, v6only) && !(share && e.share),
    )
  }

  /** Counts one more use, without asking whether it conflicts. */
  hold(
    address: Address,
    port: number,
    v6only: boolean,
    reuse: boolean,
    use: Use,
    share = false,
  ): void {
    const list = this.entries.get(port)
    const entry = list && find(list, address, v6only, reuse, use, share)
    if (entry) entry.count++
    else if (list) list.push({ address, v6only, reuse, share, use, count: 1 })
    else this.entries.set(port, [{ address, v6only, reuse, share, use, count: 1 }])
  }

  drop(
    address: Address,
    port: number,
    v6only: boolean,
    reuse: boolean,
    use: Use,
    share = false,
  ): void {
    const list = this.entries.get(port) ?? []
    const entry = find(list, address, v6only, reuse, use, share)
    if (!entry) throw new Error(`Cannot drop port ${port}: nothing ${use} holds it`)
    if (--entry.count > 0) return
    list.splice(list.indexOf(entry), 1)
    if (list.length === 0) this.entries.delete(port)
  }

  /**
   * A port for a connection whose socket is not bound (RFC 6056 section 3.3.1, simple randomisation): one that no socket
   * is bound to and for which `isFree` says that the connection would be the only one of its addresses and ports.
   * 0: there is none.
   */
  ephemeral(isFree: (port: number) => boolean): number {
    return this.scan(EVEN, port => {
      const list = this.entries.get(port)
      return (!list || list.every(e => e.use === 'connection')) && isFree(port)
    })
  }

  /** Ports in use. */
  get size(): number {
    return this.entries.size
  }

  private anyFree(): number {
    return this.scan(this.apart ? ODD : this.random() & 1, port => !this.entries.has(port))
  }

  /** In one half, even or odd, from anywhere in it; then in the other. */
  private scan(half: number, fits: (port: number) => boolean): number {
    return this.scanHalf(half, fits) || this.scanHalf(1 - half, fits)
  }

  private scanHalf(half: number, fits: (port: number) => boolean): number {
    const first = (this.random() >>> 0) % HALF_COUNT
    for (let i = 0; i < HALF_COUNT; i++) {
      const port = EPHEMERAL_FIRST + half + 2 * ((first + i) % HALF_COUNT)
      if (fits(port)) return port
    }
    return 0
  }

  private conflicts(
    address: Address,
    port: number,
    v6only: boolean,
    reuse: boolean,
    share: boolean,
  ): boolean {
    const list = this.entries.get(port) ?? []
    return list.some(
      e =>
        overlap(e, address, v6only) &&
        !(share && e.share) &&
        !(reuse && e.reuse && e.use !== 'listening'),
    )
  }
}

const find = (
  list: Entry[],
  address: Address,
  v6only: boolean,
  reuse: boolean,
  use: Use,
  share: boolean,
): Entry | undefined =>
  list.find(
    e =>
      e.use === use &&
      e.reuse === reuse &&
      e.share === share &&
      e.v6only === v6only &&
      e.address.equals(address),
  )

/** Could one segment be meant for both? */
function overlap(e: Entry, address: Address, v6only: boolean): boolean {
  if (e.address.isUnspecified && address.isUnspecified) {
    if (e.address.isV4 === address.isV4) return true
    return !(e.address.isV4 ? v6only : e.v6only)
  }
  if (e.address.isUnspecified) return covers(e.address, e.v6only, address)
  if (address.isUnspecified) return covers(address, v6only, e.address)
  return e.address.equals(address)
}

/** Does an unspecified address stand for `address` too? */
export const covers = (any: Address, v6only: boolean, address: Address): boolean =>
  any.isV4 ? address.isV4 : !address.isV4 || !v6only
