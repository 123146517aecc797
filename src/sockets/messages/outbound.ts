// A message for a program, built in memory whose address the kernel can be given: begin(), what its head shall say, then
// the text (deliver.ts). Lengths of ancillary data are as CMSG_LEN and CMSG_SPACE of a 64-bit Linux have them.
import { AF_INET, AF_INET6 } from '../../ffi/libc.ts'
import { Stage } from '../../ffi/stage.ts'
import {
  ABI_MESSAGE_CONTROL,
  ABI_MESSAGE_NAME,
  ABI_MESSAGE_TEXT,
  MESSAGE,
  MESSAGE_DATA,
  MESSAGE_SIZE,
} from '../../shm/layout.ts'
import { NIC_INDEX } from '../../stack/stack.ts'

const CMSG_HEADER = 16

export class Outbound {
  readonly stage = new Stage(MESSAGE_SIZE + ABI_MESSAGE_TEXT + 1)
  readonly bytes: Uint8Array
  readonly view: DataView

  constructor() {
    this.bytes = this.stage.bytes
    this.view = this.stage.view
  }

  /** A new head, which says nothing. */
  begin(kind = MESSAGE_DATA, flags = 0): void {
    const { view } = this
    view.setUint32(MESSAGE.kind, kind, true)
    view.setUint32(MESSAGE.flags, flags, true)
    view.setUint32(MESSAGE.name_len, 0, true)
    view.setUint32(MESSAGE.control_len, 0, true)
  }

  /** recvmsg(2)'s msg_flags get these too. */
  addFlags(flags: number): void {
    const { view } = this
    view.setUint32(MESSAGE.flags, view.getUint32(MESSAGE.flags, true) | flags, true)
  }

  /** A sockaddr of `length` bytes comes into `bytes` at the offset that this gives; they are zeros. */
  name(length: number): number {
    this.bytes.fill(0, MESSAGE.name, MESSAGE.name + ABI_MESSAGE_NAME)
    this.view.setUint32(MESSAGE.name_len, length, true)
    return MESSAGE.name
  }

  /** The same of an IP address in four words (IPv4 v4-mapped), as a socket of `family` shows it. */
  nameIp(family: number, words: Int32Array, at: number, port: number): void {
    const v6 = family === AF_INET6
    this.sockaddr(this.name(v6 ? 28 : 16), family, words, at, port)
  }

  /** A sockaddr_in or sockaddr_in6 at `offset` in bytes, which are zeros. */
  sockaddr(offset: number, family: number, words: Int32Array, at: number, port: number): void {
    const { view } = this
    view.setUint16(offset, family, true)
    view.setUint16(offset + 2, port)
    if (family === AF_INET) return view.setInt32(offset + 4, words[at + 3])
    for (let i = 0; i < 4; i++) view.setInt32(offset + 8 + 4 * i, words[at + i])
    if ((words[at] & 0xffc00000) === (0xfe800000 | 0)) view.setUint32(offset + 24, NIC_INDEX, true)
  }

  /** A cmsghdr with `length` bytes of data, which come into `bytes` at the offset that this gives; -1: no room. */
  control(level: number, type: number, length: number): number {
    const { view } = this
    const used = view.getUint32(MESSAGE.control_len, true)
    const space = CMSG_HEADER + ((length + 7) & ~7)
    if (used + space > ABI_MESSAGE_CONTROL) return -1
    const at = MESSAGE.control + used
    this.bytes.fill(0, at, at + space)
    view.setUint32(at, CMSG_HEADER + length, true)
    view.setInt32(at + 8, level, true)
    view.setInt32(at + 12, type, true)
    view.setUint32(MESSAGE.control_len, used + space, true)
    return at + CMSG_HEADER
  }

  /** A cmsghdr of one int. */
  controlInt(level: number, type: number, value: number): void {
    const at = this.control(level, type, 4)
    if (at >= 0) this.view.setInt32(at, value, true)
  }
}
