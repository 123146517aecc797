// Domain names (RFC 1035 section 3.1): labels with a length before each, as DHCP, DHCPv6 and router advertisements
// carry them. What is parsed ends up in files that programs read, so names hold letters, digits, '-' and '_' only.

const MAX_LABEL = 63
/** On the wire, with all lengths and the root's zero. */
const MAX_NAME = 255
/** A list on the wire may promise far more names than a resolver ever searches. */
const MAX_NAMES = 32
const POINTER = 0xc0

/** `text`, absolute (a final dot may be there or not); undefined if it is no name. */
export function emitName(text: string): Uint8Array | undefined {
  const labels = text.replace(/\.$/, '').split('.')
  if (!labels.every(isLabel)) return
  const bytes = new Uint8Array(text.replace(/\.$/, '').length + 2)
  if (bytes.length > MAX_NAME) return
  let at = 0
  for (const label of labels) {
    bytes[at++] = label.length
    for (let i = 0; i < label.length; i++) bytes[at++] = label.charCodeAt(i)
  }
  return bytes
}

/** Is it a name that a host can have? */
export const isName = (text: string): boolean => emitName(text) !== undefined

const isLabel = (label: string) => label.length <= MAX_LABEL && /^[a-z0-9_-]+$/i.test(label)

/**
 * All names in `bytes`, one after the other; undefined if a length lies. A name of other characters is left out, and so
 * is one that is not finished by a zero (RFC 4704: a partial name). With `compressed`, a name may end in a pointer to
 * what stands before it (RFC 3397 section 2): pointers go strictly backwards, so there can be no loop.
 */
export function parseNames(bytes: Uint8Array, compressed = false): string[] | undefined {
  const names: string[] = []
  let at = 0
  while (at < bytes.length && names.length < MAX_NAMES) {
    // Router advertisements pad their list with zeros (RFC 8106 section 5.2).
    if (bytes[at] === 0) {
      at++
      continue
    }
    const name = parseName(bytes, at, compressed)
    if (name === undefined) return
    if (name.labels.length > 0 && name.labels.every(isLabel)) names.push(name.labels.join('.'))
    at = name.end
  }
  return names
}

function parseName(
  bytes: Uint8Array,
  at: number,
  compressed: boolean,
): { labels: string[]; end: number } | undefined {
  const labels: string[] = []
  let length = 1
  let end = -1
  /** A pointer must lead before this. */
  let limit = at
  for (;;) {
    if (at >= bytes.length) return end < 0 ? { labels: [], end: at } : undefined
    const n = bytes[at]
    if (n === 0) return { labels, end: end < 0 ? at + 1 : end }
    if ((n & POINTER) === POINTER) {
      if (!compressed || at + 1 >= bytes.length) return
      const to = ((n & ~POINTER) << 8) | bytes[at + 1]
      if (to >= limit) return
      if (end < 0) end = at + 2
      limit = at = to
      continue
    }
    length += n + 1
    if (n > MAX_LABEL || at + 1 + n > bytes.length || length > MAX_NAME) return
    labels.push(String.fromCharCode(...bytes.subarray(at + 1, at + 1 + n)))
    at += 1 + n
  }
}
