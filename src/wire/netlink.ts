// Netlink messages (RFC 3549; linux/netlink.h): a header of 16 bytes, a fixed structure, attributes; all in the machine's byte
// order, which here is little-endian, and padded to 4. What programs send is read by messagesIn() and attributesIn(), which believe
// no length; what they get is put together from byte strings.

export const NLMSG_HDRLEN = 16
export const NLA_HDRLEN = 4

export const NLMSG_ERROR = 2
export const NLMSG_DONE = 3
/** Types below are the protocol's own. */
export const NLMSG_MIN_TYPE = 0x10

export const NLM_F_REQUEST = 1
export const NLM_F_MULTI = 2
export const NLM_F_ACK = 4
export const NLM_F_ECHO = 8
export const NLM_F_DUMP_FILTERED = 0x20
/** Of questions: NLM_F_ROOT or NLM_F_MATCH. */
export const NLM_F_DUMP = 0x300
/** Of orders. */
export const NLM_F_REPLACE = 0x100
export const NLM_F_EXCL = 0x200
export const NLM_F_CREATE = 0x400
export const NLM_F_APPEND = 0x800
/** Of answers (NLMSG_ERROR). */
export const NLM_F_CAPPED = 0x100
export const NLM_F_ACK_TLVS = 0x200

const NLMSGERR_ATTR_MSG = 1
/** The upper bits of an attribute's type are flags. */
const NLA_TYPE_MASK = 0x3fff

export interface NetlinkMessage {
  readonly type: number
  readonly flags: number
  readonly seq: number
  readonly pid: number
  /** All of it, with its header. */
  readonly bytes: Uint8Array
  /** What is behind the header. */
  readonly body: Uint8Array
}

export const align = (n: number): number => (n + 3) & ~3

/** The messages in a datagram, as far as their lengths are true (netlink_rcv_skb() of Linux ends there, too). */
export function* messagesIn(bytes: Uint8Array): Generator<NetlinkMessage> {
  const view = viewOf(bytes)
  for (let at = 0; bytes.length - at >= NLMSG_HDRLEN;) {
    const length = view.getUint32(at, true)
    if (length < NLMSG_HDRLEN || length > bytes.length - at) return
    yield {
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      seq: view.getUint32(at + 8, true),
      pid: view.getUint32(at + 12, true),
      bytes: bytes.subarray(at, at + length),
      body: bytes.subarray(at + NLMSG_HDRLEN, at + length),
    }
    at += align(length)
  }
}

export type Attributes = ReadonlyMap<number, Uint8Array>

/** The attributes from `at` on; of two with one type the later. What does not fit ends them. */
export function attributesIn(bytes: Uint8Array, at: number): Attributes {
  const found = new Map<number, Uint8Array>()
  const view = viewOf(bytes)
  while (bytes.length - at >= NLA_HDRLEN) {
    const length = view.getUint16(at, true)
    if (length < NLA_HDRLEN || length > bytes.length - at) break
    const type = view.getUint16(at + 2, true) & NLA_TYPE_MASK
    found.set(type, bytes.subarray(at + NLA_HDRLEN, at + length))
    at += align(length)
  }
  return found
}

/** A number of 1, 2 or 4 bytes at the head of `bytes`; undefined: it is too short. */
export function u32In(bytes: Uint8Array | undefined): number | undefined {
  return bytes === undefined || bytes.length < 4 ? undefined : viewOf(bytes).getUint32(0, true)
}

/** Text up to its 0, or its end. */
export function textIn(bytes: Uint8Array): string {
  const zero = bytes.indexOf(0)
  return Buffer.from(bytes.subarray(0, zero < 0 ? bytes.length : zero)).toString('latin1')
}

// ---- putting together

/** `body` behind a header. */
export function netlinkMessage(
  type: number,
  flags: number,
  seq: number,
  pid: number,
  body: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(align(NLMSG_HDRLEN + body.length))
  const view = viewOf(bytes)
  view.setUint32(0, NLMSG_HDRLEN + body.length, true)
  view.setUint16(4, type, true)
  view.setUint16(6, flags, true)
  view.setUint32(8, seq, true)
  view.setUint32(12, pid, true)
  bytes.set(body, NLMSG_HDRLEN)
  return bytes
}

/**
 * NLMSG_ERROR for `request`, 0 being an acknowledgment; the request comes back whole if it failed, unless `capped`. `why`: the
 * sentence of an extended acknowledgment.
 */
export function netlinkError(
  request: NetlinkMessage,
  pid: number,
  errno: number,
  capped: boolean,
  why?: string,
): Uint8Array {
  const whole = errno !== 0 && !capped
  const echo = whole ? request.bytes : request.bytes.subarray(0, NLMSG_HDRLEN)
  const flags = (whole ? 0 : NLM_F_CAPPED) | (why === undefined ? 0 : NLM_F_ACK_TLVS)
  const told = why === undefined ? [] : [attribute(NLMSGERR_ATTR_MSG, zeroEnded(why))]
  const body = concat([i32s(errno), echo, padding(echo.length), ...told])
  return netlinkMessage(NLMSG_ERROR, flags, request.seq, pid, body)
}

export function attribute(type: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(align(NLA_HDRLEN + payload.length))
  const view = viewOf(bytes)
  view.setUint16(0, NLA_HDRLEN + payload.length, true)
  view.setUint16(2, type, true)
  bytes.set(payload, NLA_HDRLEN)
  return bytes
}

export const u8s = (...values: number[]): Uint8Array => Uint8Array.from(values)
export const u16s = (...values: number[]): Uint8Array => bytesOf(Uint16Array.from(values))
export const i32s = (...values: number[]): Uint8Array => bytesOf(Int32Array.from(values))
export const u64s = (...values: number[]): Uint8Array =>
  bytesOf(BigUint64Array.from(values, v => BigInt(Math.max(0, Math.round(v)))))
export const zeroEnded = (text: string): Uint8Array => Buffer.from(`${text}\0`, 'latin1')

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

export const viewOf = (b: Uint8Array): DataView => new DataView(b.buffer, b.byteOffset, b.length)
const bytesOf = (a: ArrayBufferView) => new Uint8Array(a.buffer, a.byteOffset, a.byteLength)
const padding = (length: number) => new Uint8Array(align(length) - length)
