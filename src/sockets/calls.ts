// Calls: a program fills a block of shared memory, posts its number and sleeps on the block's word; the answer goes
// into the same block. Posting is setting bits, not joining a queue: a poster that is killed half-way leaves a bit
// unset or a bit too many, never a queue that cannot move on.
//
// The server copies each field once and checks it. Which blocks it is working on, and which it has put off (a connect
// that waits for its handshake), stands in private memory: a new thread answers the former with EIO, since one of them
// may be what ended the old thread, and takes up the latter again.
import { EIO } from '../base/errno.ts'
import * as libc from '../ffi/libc.ts'
import {
  ABI_CALLS,
  ABI_CALLS_OFFSET,
  CALL,
  CALL_ABANDONED,
  CALL_CLAIMED,
  CALL_DATA_SIZE,
  CALL_DONE,
  CALL_FREE,
  CALL_POSTED,
  CALL_SIZE,
  REGION,
} from '../shm/layout.ts'
import type { Region } from '../shm/region.ts'

/** Bytes of private memory that Calls needs. */
export const CALLS_BYTES = ABI_CALLS * 4

const IDLE = 0
const WORKING = 1
const PUT_OFF = 2

/** One call's arguments, copied out of shared memory; the object is used again. */
export class Call {
  block = 0
  /** The caller's process. */
  slot = 0
  op = 0
  record = 0
  generation = 0
  readonly arg = new Int32Array(6)
  readonly data = new Uint8Array(CALL_DATA_SIZE)
  length = 0
  /** What the answer carries back, beside the result. */
  readonly out = new Uint8Array(CALL_DATA_SIZE)
  outLength = 0
}

/** The handler's answer: a result, or later. */
export const LATER = -0x7fffffff

export class Calls {
  readonly #region: Region
  readonly #stage: Int32Array
  readonly #call = new Call()

  constructor(region: Region, memory: ArrayBufferLike) {
    this.#region = region
    this.#stage = new Int32Array(memory)
  }

  /** Hands every posted call to `serve`, and every abandoned one that was put off to `forget`. Calls taken. */
  take(serve: (call: Call) => number, forget: (block: number) => void): number {
    const w = this.#region.words
    let top = Atomics.exchange(w, REGION.call_top / 4, 0)
    let taken = 0
    while (top !== 0) {
      const group = 31 - Math.clz32(top)
      top &= ~(1 << group)
      let dirty = Atomics.exchange(w, REGION.call_dirty / 4 + group, 0)
      while (dirty !== 0) {
        const bit = 31 - Math.clz32(dirty)
        dirty &= ~(1 << bit)
        this.#one(group * 32 + bit, serve, forget)
        taken++
      }
    }
    return taken
  }

  /** Answers a call that was put off. */
  answer(block: number, result: number): void {
    const word = this.#word(block)
    this.#stage[block] = IDLE
    this.#region.words[word + CALL.result / 4] = result
    this.#finish(block, word)
  }

  /** The same with data, at most CALL_DATA_SIZE bytes of it, and the first two arguments. */
  answerWith(block: number, result: number, data: Uint8Array, arg0: number, arg1: number): void {
    const w = this.#region.words
    const word = this.#word(block)
    w[word + CALL.arg / 4] = arg0
    w[word + CALL.arg / 4 + 1] = arg1
    w[word + CALL.data_len / 4] = data.length
    this.#region.bytes.set(data, ABI_CALLS_OFFSET + block * CALL_SIZE + CALL.data)
    this.answer(block, result)
  }

  /** After a change of threads: answers what was in work, gives what was put off to `serve` again. */
  recover(serve: (call: Call) => number): void {
    for (let block = 0; block < ABI_CALLS; block++) {
      const stage = this.#stage[block]
      if (stage === IDLE) continue
      if (stage === WORKING) this.answer(block, -EIO)
      else this.#serve(block, serve)
    }
  }

  /** Process `slot` has ended: its blocks are nobody's. */
  reclaim(slot: number, forget: (block: number) => void): void {
    const w = this.#region.words
    for (let block = 0; block < ABI_CALLS; block++) {
      const word = this.#word(block)
      const seen = Atomics.load(w, word)
      if (seen >>> 8 !== slot || (seen & 0xff) === CALL_FREE) continue
      if (this.#stage[block] === PUT_OFF) forget(block)
      this.#stage[block] = IDLE
      Atomics.store(w, word, CALL_FREE)
    }
  }

  #one(block: number, serve: (call: Call) => number, forget: (block: number) => void): void {
    const w = this.#region.words
    const word = this.#word(block)
    const state = Atomics.load(w, word) & 0xff
    if (state === CALL_ABANDONED) {
      if (this.#stage[block] === PUT_OFF) forget(block)
      this.#stage[block] = IDLE
      Atomics.store(w, word, CALL_FREE)
    } else if (state === CALL_POSTED && this.#stage[block] === IDLE) this.#serve(block, serve)
    else if (state === CALL_CLAIMED || state === CALL_FREE || state === CALL_DONE) return
  }

  #serve(block: number, serve: (call: Call) => number): void {
    const w = this.#region.words
    const word = this.#word(block)
    const call = this.#call
    const data = ABI_CALLS_OFFSET + block * CALL_SIZE + CALL.data
    this.#stage[block] = WORKING
    call.block = block
    call.slot = w[word] >>> 8
    call.op = w[word + CALL.op / 4]
    call.record = w[word + CALL.record / 4] >>> 0
    call.generation = w[word + CALL.generation / 4] >>> 0
    for (let i = 0; i < 6; i++) call.arg[i] = w[word + CALL.arg / 4 + i]
    call.length = Math.min(w[word + CALL.data_len / 4] >>> 0, CALL_DATA_SIZE)
    for (let i = 0; i < call.length; i++) call.data[i] = this.#region.bytes[data + i]
    call.outLength = 0
    const result = serve(call)
    if (result === LATER) {
      this.#stage[block] = PUT_OFF
      return
    }
    this.#stage[block] = IDLE
    w[word + CALL.result / 4] = result
    w[word + CALL.generation / 4] = call.generation
    for (let i = 0; i < 6; i++) w[word + CALL.arg / 4 + i] = call.arg[i]
    w[word + CALL.data_len / 4] = call.outLength
    if (call.outLength > 0) this.#region.bytes.set(call.out.subarray(0, call.outLength), data)
    this.#finish(block, word)
  }

  /** POSTED to DONE, waking the caller; a block given up meanwhile is free. Pairs with ctl_call() in preload/ctl.c. */
  #finish(block: number, word: number): void {
    const w = this.#region.words
    const seen = Atomics.load(w, word)
    const done = (seen & ~0xff) | CALL_DONE
    if ((seen & 0xff) === CALL_POSTED && Atomics.compareExchange(w, word, seen, done) === seen) {
      libc.futexWake(this.#region.address + ABI_CALLS_OFFSET + block * CALL_SIZE, 1)
      return
    }
    if ((Atomics.load(w, word) & 0xff) === CALL_ABANDONED) Atomics.store(w, word, CALL_FREE)
  }

  #word(block: number): number {
    return (ABI_CALLS_OFFSET + block * CALL_SIZE) / 4
  }
}
