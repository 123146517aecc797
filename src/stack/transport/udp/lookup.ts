// Which endpoint a datagram is for. Connected ones are found by a hash of the whole tuple, as TCP's connections are; the
// others by their port, where the best fit wins and, of equals, the newest (Linux's order), or one of a SO_REUSEPORT
// group by a hash of the tuple, so that a flow stays with one program.
import { halfSipHash4 } from '../../../base/siphash.ts'
import { Demux } from '../demux.ts'
import type { Endpoint, Received } from './endpoint.ts'

/** Words of a connected endpoint's tuple. */
const LOCAL = 0
const REMOTE = 4
const LOCAL_PORT = 8
const REMOTE_PORT = 9
const RECORD_WORDS = 10

/** Endpoints with one local port, the newest last. */
interface OnPort {
  readonly all: Endpoint[]
  /** Those that the table of connected ones does not have. */
  readonly open: Endpoint[]
}

const NONE: readonly Endpoint[] = []

export class Lookup {
  private readonly words: Int32Array
  private readonly demux: Demux
  private readonly bySlot: (Endpoint | undefined)[]
  private readonly byPort = new Map<number, OnPort>()
  private readonly k0: number
  private readonly k1: number

  constructor(capacity: number, k0: number, k1: number) {
    this.words = new Int32Array(capacity * RECORD_WORDS)
    this.bySlot = new Array<undefined>(capacity).fill(undefined)
    const store = {
      words: this.words,
      recordWords: RECORD_WORDS,
      local: LOCAL,
      remote: REMOTE,
      localPort: LOCAL_PORT,
      remotePort: REMOTE_PORT,
    }
    this.demux = new Demux(store, capacity, k0, k1)
    this.k0 = k0
    this.k1 = k1
  }

  /** The endpoint has its port, and is connected or not. */
  add(endpoint: Endpoint): void {
    let on = this.byPort.get(endpoint.localPort)
    if (on === undefined) this.byPort.set(endpoint.localPort, (on = { all: [], open: [] }))
    on.all.push(endpoint)
    if (!endpoint.connected || !this.index(endpoint)) on.open.push(endpoint)
  }

  /** Takes it out, if it is in, before its port or its peer becomes another. */
  remove(endpoint: Endpoint): void {
    const on = this.byPort.get(endpoint.localPort)
    if (on === undefined || !take(on.all, endpoint)) return
    if (on.all.length === 0) this.byPort.delete(endpoint.localPort)
    if (!endpoint.indexed) {
      take(on.open, endpoint)
      return
    }
    this.demux.remove(endpoint.slot)
    this.bySlot[endpoint.slot] = undefined
    endpoint.indexed = false
    // Another one may be connected alike, and was in its shadow.
    const heir = on.open.find(other => other.connected && this.index(other))
    if (heir !== undefined) take(on.open, heir)
  }

  /** Whose the datagram is, which is for one address; undefined: nobody's. */
  find(packet: Received, srcPort: number, dstPort: number): Endpoint | undefined {
    const slot = this.demux.find(packet, srcPort, dstPort)
    if (slot >= 0) {
      const endpoint = this.bySlot[slot]!
      if (endpoint.device === 0 || endpoint.score(packet, srcPort) > 0) return endpoint
    }
    const on = this.byPort.get(dstPort)
    if (on === undefined) return undefined
    const { open } = on
    let best: Endpoint | undefined
    let most = 0
    let equals = 0
    for (let i = open.length - 1; i >= 0; i--) {
      const score = open[i].score(packet, srcPort)
      if (score > most) {
        best = open[i]
        most = score
        equals = 1
      } else if (score === most) equals++
    }
    if (best === undefined || !best.share || equals === 1) return best
    return this.chooseShared(open, most, packet, srcPort, dstPort) ?? best
  }

  /** All endpoints of a port: groups are for all of them. */
  onPort(port: number): readonly Endpoint[] {
    return this.byPort.get(port)?.all ?? NONE
  }

  /** False: another endpoint has this tuple. */
  private index(endpoint: Endpoint): boolean {
    const { words } = this
    const at = endpoint.slot * RECORD_WORDS
    for (let i = 0; i < 4; i++) {
      words[at + LOCAL + i] = endpoint.local.word(i)
      words[at + REMOTE + i] = endpoint.remote.word(i)
    }
    words[at + LOCAL_PORT] = endpoint.localPort
    words[at + REMOTE_PORT] = endpoint.remotePort
    if (this.demux.findLike(endpoint.slot) >= 0) return false
    this.demux.add(endpoint.slot)
    this.bySlot[endpoint.slot] = endpoint
    endpoint.indexed = true
    return true
  }

  /** One of those with this score that share their port. */
  private chooseShared(
    open: readonly Endpoint[],
    score: number,
    packet: Received,
    srcPort: number,
    dstPort: number,
  ): Endpoint | undefined {
    let members = 0
    for (const endpoint of open)
      if (endpoint.share && endpoint.score(packet, srcPort) === score) members++
    const ports = (srcPort << 16) | dstPort
    const { k0, k1 } = this
    const from = packet.srcWord(0) ^ packet.srcWord(1) ^ packet.srcWord(2)
    const hash = halfSipHash4(k0, k1, packet.srcWord(3), packet.dstWord(3), ports, from) >>> 0
    let chosen = Math.floor((hash / 2 ** 32) * members)
    for (const endpoint of open)
      if (endpoint.share && endpoint.score(packet, srcPort) === score && chosen-- === 0)
        return endpoint
    return undefined
  }
}

/** Takes `endpoint` out; false: it was not in. */
function take(list: Endpoint[], endpoint: Endpoint): boolean {
  const i = list.lastIndexOf(endpoint)
  if (i < 0) return false
  list.splice(i, 1)
  return true
}
