// What is said on a network's `ctl` socket (SOCK_STREAM) between a station and its switch.
//
// Every message begins with magic, version, type and its whole length, 32 bits each, little-endian; this header stays
// the same in all versions. The magic is not VDE's (0xfeedface), so that stations of VDE can be told by their first word
// and served on the same socket.
//
//   HELLO    pid, MAC (6), count (16 bits), count × 16 bytes of IP addresses (IPv4 mapped), the command's name
//   BRIDGE   pid, the command's name: a cable with stations behind it, and no address of its own
//   CLAIM    count (32 bits), addresses: wants these too          RELEASE  the same: gives these back
//   WELCOME  ring size, mtu; with it the memory and the doorbell (SCM_RIGHTS)
//   DONE     the answer to CLAIM and RELEASE
//   TAKEN    owner's pid, its MAC (6), 16 bits: 1 = the address that follows, 0 = the MAC; address (16); command's name
//   REFUSED  one sentence
//
// The connection stays for the life of the port: whose end closes it, or dies, unplugs the cable.
import { Address } from '../wire/address.ts'
import { Mac } from '../wire/mac.ts'
import { MAX_CLAIMS } from './registry.ts'

export const PORT_MAGIC = 0x74726f70 /* "port" */
export const PORT_VERSION = 1

export const CTL_HELLO = 1
export const CTL_CLAIM = 2
export const CTL_RELEASE = 3
export const CTL_BRIDGE = 4
export const CTL_WELCOME = 16
export const CTL_DONE = 17
export const CTL_TAKEN = 18
export const CTL_REFUSED = 19

const HEADER = 16
const MAX_TEXT = 512
export const MAX_MESSAGE = HEADER + 12 + 16 * MAX_CLAIMS + MAX_TEXT

export interface Hello {
  readonly mac: Mac
  readonly addresses: readonly Address[]
  readonly pid: number
  readonly command: string
}
/** A cable to other networks. */
export interface Bridge {
  readonly pid: number
  readonly command: string
}
export interface Welcome {
  readonly ringSize: number
  readonly mtu: number
}
export interface Taken {
  /** undefined: the MAC is taken. */
  readonly address: Address | undefined
  readonly mac: Mac
  readonly pid: number
  readonly command: string
}

/**
 * The length of the message that `bytes` begins with; 0: not all of it is there; -1: this is no message of ours. A
 * message of another version is taken by its header alone.
 */
export function messageLength(bytes: Buffer): number {
  if (bytes.length >= 4 && bytes.readUInt32LE(0) !== PORT_MAGIC) return -1
  if (bytes.length < HEADER) return 0
  const length = bytes.readUInt32LE(12)
  if (length < HEADER || length > MAX_MESSAGE) return -1
  return bytes.length < length ? 0 : length
}

export const messageVersion = (message: Buffer) => message.readUInt32LE(4)
export const messageType = (message: Buffer) => message.readUInt32LE(8)

export function emitHello(hello: Hello): Buffer {
  const fixed = Buffer.alloc(12)
  fixed.writeUInt32LE(hello.pid, 0)
  hello.mac.write(fixed, 4)
  fixed.writeUInt16LE(hello.addresses.length, 10)
  return message(CTL_HELLO, fixed, emitAddresses(hello.addresses), text(hello.command))
}

/** undefined if it lies: more addresses than it holds, a MAC or an IP address that no station can have. */
export function parseHello(bytes: Buffer): Hello | undefined {
  const body = bytes.subarray(HEADER)
  if (body.length < 12) return
  const mac = Mac.read(body, 4)
  if (mac.isGroup || mac.isZero) return
  const addresses = parseAddresses(body.subarray(12), body.readUInt16LE(10))
  if (addresses === undefined) return
  const command = printable(body.subarray(12 + 16 * addresses.length))
  return { mac, addresses, pid: body.readUInt32LE(0), command }
}

export function emitBridge({ pid, command }: Bridge): Buffer {
  const fixed = Buffer.alloc(4)
  fixed.writeUInt32LE(pid, 0)
  return message(CTL_BRIDGE, fixed, text(command))
}

export function parseBridge(bytes: Buffer): Bridge | undefined {
  const body = bytes.subarray(HEADER)
  if (body.length < 4) return
  return { pid: body.readUInt32LE(0), command: printable(body.subarray(4)) }
}

export function emitClaim(
  type: typeof CTL_CLAIM | typeof CTL_RELEASE,
  addresses: readonly Address[],
) {
  const count = Buffer.alloc(4)
  count.writeUInt32LE(addresses.length)
  return message(type, count, emitAddresses(addresses))
}

/** The addresses of a CLAIM or RELEASE; undefined if it lies. */
export function parseClaim(bytes: Buffer): readonly Address[] | undefined {
  const body = bytes.subarray(HEADER)
  return body.length < 4 ? undefined : parseAddresses(body.subarray(4), body.readUInt32LE(0))
}

export function emitWelcome({ ringSize, mtu }: Welcome): Buffer {
  const body = Buffer.alloc(8)
  body.writeUInt32LE(ringSize, 0)
  body.writeUInt32LE(mtu, 4)
  return message(CTL_WELCOME, body)
}

export function parseWelcome(bytes: Buffer): Welcome | undefined {
  const body = bytes.subarray(HEADER)
  if (body.length < 8) return
  return { ringSize: body.readUInt32LE(0), mtu: body.readUInt32LE(4) }
}

export const emitDone = (): Buffer => message(CTL_DONE)

export function emitTaken(taken: Taken): Buffer {
  const body = Buffer.alloc(28)
  body.writeUInt32LE(taken.pid, 0)
  taken.mac.write(body, 4)
  body.writeUInt16LE(taken.address === undefined ? 0 : 1, 10)
  taken.address?.write(body, 12)
  return message(CTL_TAKEN, body, text(taken.command))
}

export function parseTaken(bytes: Buffer): Taken | undefined {
  const body = bytes.subarray(HEADER)
  if (body.length < 28) return
  return {
    address: body.readUInt16LE(10) === 0 ? undefined : Address.read(body, 12, 16),
    mac: Mac.read(body, 4),
    pid: body.readUInt32LE(0),
    command: printable(body.subarray(28)),
  }
}

export const emitRefused = (sentence: string): Buffer => message(CTL_REFUSED, text(sentence))
export const parseRefused = (bytes: Buffer): string => printable(bytes.subarray(HEADER))

function message(type: number, ...parts: Uint8Array[]): Buffer {
  const header = Buffer.alloc(HEADER)
  const whole = Buffer.concat([header, ...parts])
  whole.writeUInt32LE(PORT_MAGIC, 0)
  whole.writeUInt32LE(PORT_VERSION, 4)
  whole.writeUInt32LE(type, 8)
  whole.writeUInt32LE(whole.length, 12)
  return whole
}

function emitAddresses(addresses: readonly Address[]): Buffer {
  if (addresses.length > MAX_CLAIMS)
    throw new RangeError(`${addresses.length} addresses, ${MAX_CLAIMS} may be claimed`)
  const bytes = Buffer.alloc(16 * addresses.length)
  for (const [i, address] of addresses.entries()) address.write(bytes, 16 * i)
  return bytes
}

function parseAddresses(bytes: Buffer, count: number): readonly Address[] | undefined {
  if (count > MAX_CLAIMS || bytes.length < 16 * count) return
  const addresses = Array.from({ length: count }, (_, i) => Address.read(bytes, 16 * i, 16))
  const unfit = (a: Address) => a.isUnspecified || a.isLoopback || a.isMulticast
  return addresses.some(unfit) ? undefined : addresses
}

/** Cut to what a message holds, between characters. */
function text(value: string): Buffer {
  let bytes = Buffer.from(value)
  while (bytes.length > MAX_TEXT) {
    value = value.slice(0, -1)
    bytes = Buffer.from(value)
  }
  return bytes
}

/** Somebody else's words, fit for a terminal. */
function printable(bytes: Buffer): string {
  return bytes.subarray(0, MAX_TEXT).toString().replace(/\p{C}/gu, '?')
}
