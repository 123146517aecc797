// Frames of TCP and UDP as a stack with offloads sends them, and a slow, independent look at what became of them.

export interface FrameShape {
  v6?: boolean
  udp?: boolean
  /** Number of 802.1Q tags. */
  tags?: number
  /** Bytes of IPv4 options, or of an IPv6 destination options header. */
  ipOptions?: number
  /** Bytes of TCP options. */
  tcpOptions?: number
  text?: number
  seq?: number
  id?: number
  flags?: number
}

export interface OffloadFrame {
  bytes: Uint8Array
  length: number
  checksumStart: number
  checksumOffset: number
  /** Bytes before the text. */
  header: number
}

const put16 = (b: Uint8Array, i: number, v: number) => b.set([(v >>> 8) & 0xff, v & 0xff], i)
const put32 = (b: Uint8Array, i: number, v: number) => {
  put16(b, i, v >>> 16)
  put16(b, i + 2, v)
}
const get16 = (b: Uint8Array, i: number) => b[i] * 256 + b[i + 1]
const get32 = (b: Uint8Array, i: number) => get16(b, i) * 65536 + get16(b, i + 2)

/** The text's byte `i`, wherever it is cut. */
export const textByte = (i: number) => (i * 31 + (i >> 8)) & 0xff

function slowSum(b: Uint8Array, from: number, to: number): number {
  let sum = 0
  for (let i = from; i < to; i += 2) {
    sum += b[i] * 256 + (i + 1 < to ? b[i + 1] : 0)
    if (sum > 0xffff) sum -= 0xffff
  }
  return sum
}

/** A frame whose transport checksum holds the pseudo-header's sum only. */
export function offloadFrame(shape: FrameShape = {}): OffloadFrame {
  const { v6 = false, udp = false, tags = 0, ipOptions = 0, tcpOptions = 12, text = 0 } = shape
  const network = 14 + 4 * tags
  const transport = network + (v6 ? 40 : 20) + ipOptions
  const header = transport + (udp ? 8 : 20 + tcpOptions)
  const length = header + text
  const b = new Uint8Array(length)
  b.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1])
  for (let i = 0; i < tags; i++) b.set([i === tags - 1 ? 0x81 : 0x88, i === tags - 1 ? 0 : 0xa8, 0, 5 + i], 12 + 4 * i) // prettier-ignore
  put16(b, network - 2, v6 ? 0x86dd : 0x0800)
  const protocol = udp ? 17 : 6
  if (v6) {
    b[network] = 0x60
    put16(b, network + 4, length - network - 40)
    b[network + 6] = ipOptions > 0 ? 60 : protocol
    b[network + 7] = 64
    b.set([0xfd, 1], network + 8)
    b[network + 23] = 1
    b.set([0xfd, 1], network + 24)
    b[network + 39] = 2
    if (ipOptions > 0) b.set([protocol, ipOptions / 8 - 1, 1, ipOptions - 4], network + 40)
  } else {
    b[network] = 0x40 | ((20 + ipOptions) >> 2)
    put16(b, network + 2, length - network)
    put16(b, network + 4, shape.id ?? 7)
    put16(b, network + 6, 0x4000)
    b[network + 8] = 64
    b[network + 9] = protocol
    b.set([10, 0, 0, 1, 10, 0, 0, 2], network + 12)
    b.fill(1, network + 20, transport)
    put16(b, network + 10, 0xffff - slowSum(b, network, transport))
  }
  put16(b, transport, 5000)
  put16(b, transport + 2, 80)
  if (udp) put16(b, transport + 4, 8 + text)
  else {
    put32(b, transport + 4, shape.seq ?? 1000)
    put32(b, transport + 8, 77)
    b[transport + 12] = ((20 + tcpOptions) / 4) << 4
    b[transport + 13] = shape.flags ?? 0x10
    put16(b, transport + 14, 512)
    b.fill(1, transport + 20, header)
  }
  for (let i = 0; i < text; i++) b[header + i] = textByte(i)
  const checksumOffset = udp ? 6 : 16
  put16(b, transport + checksumOffset, pseudoSum(b, network, v6, protocol, length - transport))
  return { bytes: b, length, checksumStart: transport, checksumOffset, header }
}

function pseudoSum(b: Uint8Array, network: number, v6: boolean, protocol: number, length: number) {
  const pseudo = new Uint8Array(40)
  if (v6) pseudo.set(b.subarray(network + 8, network + 40))
  else pseudo.set(b.subarray(network + 12, network + 20))
  put32(pseudo, 32, length)
  put16(pseudo, 36, protocol)
  return slowSum(pseudo, 0, 40)
}

export interface Look {
  length: number
  id: number
  seq: number
  flags: number
  /** Text as far as it is what textByte() says from `at` on; -1: it is not. */
  text: number
  problems: string[]
}

/** Parses a finished frame; `at`: which byte of the whole text it should begin with. */
export function look(b: Uint8Array, start: number, length: number, at = 0): Look {
  const f = b.slice(start, start + length)
  const problems: string[] = []
  let network = 14
  while ([0x8100, 0x88a8].includes(get16(f, network - 2))) network += 4
  const v6 = get16(f, network - 2) === 0x86dd
  let protocol = f[network + (v6 ? 6 : 9)]
  let transport = network + (v6 ? 40 : (f[network] & 15) * 4)
  if (v6 && protocol === 60) {
    protocol = f[transport]
    transport += 8 * (f[transport + 1] + 1)
  }
  if (v6 && get16(f, network + 4) !== length - network - 40) problems.push('payload length')
  if (!v6 && get16(f, network + 2) !== length - network) problems.push('total length')
  if (!v6 && slowSum(f, network, transport) !== 0xffff) problems.push('header checksum')
  const sum =
    slowSum(f, transport, length) + pseudoSum(f, network, v6, protocol, length - transport)
  if (sum % 0xffff !== 0) problems.push('transport checksum')
  const udp = protocol === 17
  if (udp && get16(f, transport + 4) !== length - transport) problems.push('UDP length')
  if (udp && get16(f, transport + 6) === 0) problems.push('no UDP checksum')
  const header = transport + (udp ? 8 : (f[transport + 12] >> 4) * 4)
  const text = f.subarray(header)
  if (text.some((byte, i) => byte !== textByte(at + i))) problems.push('text')
  return {
    length,
    id: v6 ? 0 : get16(f, network + 4),
    seq: udp ? 0 : get32(f, transport + 4),
    flags: udp ? 0 : f[transport + 13],
    text: text.length,
    problems,
  }
}
