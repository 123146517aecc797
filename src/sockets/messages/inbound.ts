// A message that a program sent, where it lies: a head (struct abi_message) and the text behind it. One object, filled in
// anew for each; sizes in the head are the program's and are checked when it is taken up.
import {
  ABI_MESSAGE_CONTROL,
  ABI_MESSAGE_NAME,
  MESSAGE,
  MESSAGE_DATA,
  MESSAGE_SIZE,
} from '../../shm/layout.ts'

export class Inbound {
  bytes: Uint8Array
  view: DataView
  /** MESSAGE_DATA or MESSAGE_RETURNED. */
  kind = MESSAGE_DATA
  /** MSG_* of the call. */
  flags = 0
  /** A sockaddr of so many bytes at `nameAt`; 0: none was given. */
  nameAt = 0
  nameLength = 0
  /** Ancillary data: so many bytes of cmsghdrs at `controlAt`. */
  controlAt = 0
  controlLength = 0
  /** The text. */
  at = 0
  length = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.view = viewOf(bytes)
  }

  /** A head at `head` in bytes, with `length` bytes of text behind it. */
  headed(bytes: Uint8Array, head: number, length: number): this {
    this.lie(bytes)
    const { view } = this
    this.kind = view.getUint32(head + MESSAGE.kind, true)
    this.flags = view.getUint32(head + MESSAGE.flags, true)
    this.nameAt = head + MESSAGE.name
    this.nameLength = Math.min(view.getUint32(head + MESSAGE.name_len, true), ABI_MESSAGE_NAME)
    this.controlAt = head + MESSAGE.control
    this.controlLength = Math.min(
      view.getUint32(head + MESSAGE.control_len, true),
      ABI_MESSAGE_CONTROL,
    )
    this.at = head + MESSAGE_SIZE
    this.length = length
    return this
  }

  /** Text without a head: for the peer. */
  bare(bytes: Uint8Array, at: number, length: number): this {
    this.lie(bytes)
    this.kind = MESSAGE_DATA
    this.flags = this.nameLength = this.controlLength = 0
    this.at = at
    this.length = length
    return this
  }

  private lie(bytes: Uint8Array): void {
    if (this.bytes === bytes) return
    this.bytes = bytes
    this.view = viewOf(bytes)
  }
}

const viewOf = (b: Uint8Array) => new DataView(b.buffer, b.byteOffset, b.byteLength)
