// Values longer than a call's block, which come in parts (SO_ATTACH_FILTER's programs): the beginning goes with a first
// call, whose answer is a number that the next parts bear. Who does not go on loses it when others want the room.
import { EINVAL } from '../base/errno.ts'
import type { Call } from './calls.ts'

/** As long as a value may be, and how many may be on their way. */
const MOST_BYTES = 1 << 16
const MOST = 256

interface Upload {
  readonly bytes: Uint8Array
  have: number
}

export class Uploads {
  /** The oldest first. */
  private readonly kept = new Map<number, Upload>()
  private last = 0

  /**
   * One part: the value's length is call.arg[4], the number of what has come before call.arg[3], 0 if this is the first. The
   * whole value; a number above 0: more is to come, under this; or a negative errno.
   */
  take(call: Call): Uint8Array | number {
    const total = call.arg[4]
    let number = call.arg[3]
    if (number === 0 && total === call.length) return call.data.slice(0, total)
    if (number === 0) {
      if (total < call.length || total > MOST_BYTES || call.length === 0) return -EINVAL
      number = this.begin(total)
    }
    const upload = this.kept.get(number)
    if (upload === undefined || upload.have + call.length > upload.bytes.length) return -EINVAL
    upload.bytes.set(call.data.subarray(0, call.length), upload.have)
    upload.have += call.length
    if (upload.have < upload.bytes.length) return number
    this.kept.delete(number)
    return upload.bytes
  }

  private begin(total: number): number {
    for (const oldest of this.kept.keys()) {
      if (this.kept.size < MOST) break
      this.kept.delete(oldest)
    }
    this.last = (this.last + 1) & 0x7fffffff || 1
    this.kept.set(this.last, { bytes: new Uint8Array(total), have: 0 })
    return this.last
  }
}
