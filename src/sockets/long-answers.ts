// Answers longer than a call's block: the first part goes with the call, the rest waits here for calls that fetch it. Who
// does not come for it loses it when others want the room.
import { ESTALE } from '../base/errno.ts'
import { ABI_CALLS, CALL_DATA_SIZE } from '../shm/layout.ts'
import type { Call } from './calls.ts'

/** One for each call in flight, and some that were given up. */
const MOST = 2 * ABI_CALLS
const MOST_BYTES = 32 << 20

export class LongAnswers {
  /** The oldest first. */
  private readonly kept = new Map<number, Uint8Array>()
  private bytes = 0
  private last = 0

  /** What the block carries of `answer`; arg0, the number that the rest is asked for by. */
  begin(answer: Uint8Array): { readonly data: Uint8Array; readonly arg0: number } {
    if (answer.length <= CALL_DATA_SIZE) return { data: answer, arg0: 0 }
    this.last = (this.last + 1) & 0x7fffffff || 1
    this.kept.set(this.last, answer)
    this.bytes += answer.length
    for (const oldest of this.kept.keys()) {
      if (oldest === this.last || (this.kept.size <= MOST && this.bytes <= MOST_BYTES)) break
      this.drop(oldest)
    }
    return { data: answer.subarray(0, CALL_DATA_SIZE), arg0: this.last }
  }

  /** The answer to a call at once. */
  give(call: Call, answer: Uint8Array): number {
    const { data, arg0 } = this.begin(answer)
    call.out.set(data)
    call.outLength = data.length
    call.arg[0] = arg0
    call.arg[1] = 0
    return answer.length
  }

  /** OP_REST. */
  goOn(call: Call): number {
    const [number, at] = call.arg
    const answer = this.kept.get(number)
    if (answer === undefined || at < 0 || at >= answer.length) return -ESTALE
    const part = answer.subarray(at, at + CALL_DATA_SIZE)
    call.out.set(part)
    call.outLength = part.length
    if (at + part.length === answer.length) this.drop(number)
    return part.length
  }

  private drop(number: number): void {
    this.bytes -= this.kept.get(number)?.length ?? 0
    this.kept.delete(number)
  }
}
