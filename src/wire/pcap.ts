// The file format of captures (draft-ietf-opsawg-pcap): little-endian, times in nanoseconds, Ethernet.

export const PCAP_HEADER = 24
export const PCAP_RECORD = 16
const MAGIC_NANOSECONDS = 0xa1b23c4d
const LINKTYPE_ETHERNET = 1

export function pcapHeader(snapLength: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(PCAP_HEADER))
  view.setUint32(0, MAGIC_NANOSECONDS, true)
  view.setUint16(4, 2, true)
  view.setUint16(6, 4, true)
  view.setUint32(16, snapLength, true)
  view.setUint32(20, LINKTYPE_ETHERNET, true)
  return new Uint8Array(view.buffer)
}

/** Writes a record's head: `captured` bytes follow it, of `length` that the frame had, at `time` (ms since 1970). */
export function writePcapRecord(
  view: DataView,
  at: number,
  time: number,
  captured: number,
  length: number,
): void {
  const seconds = Math.floor(time / 1000)
  view.setUint32(at, seconds, true)
  view.setUint32(at + 4, Math.floor((time - 1000 * seconds) * 1e6), true)
  view.setUint32(at + 8, captured, true)
  view.setUint32(at + 12, length, true)
}
