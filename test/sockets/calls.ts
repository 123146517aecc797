import t from 'tap'
import {
  CALL,
  CALL_ABANDONED,
  CALL_CLAIMED,
  CALL_DONE,
  CALL_FREE,
  CALL_POSTED,
  CALL_SIZE,
  ABI_CALLS_OFFSET,
  REGION,
} from '../../src/shm/layout.ts'
import { Region } from '../../src/shm/region.ts'
import { CALLS_BYTES, Calls, LATER, type Call } from '../../src/sockets/calls.ts'
import { repairWork, takeWork } from '../../src/sockets/work.ts'

const EIO = 5
const region = Region.create()
const word = (block: number, field = 0) => (ABI_CALLS_OFFSET + block * CALL_SIZE + field) / 4
const memory = () => new SharedArrayBuffer(CALLS_BYTES)
const never = () => {}

/** Does as a program's thread in slot 9. */
function post(block: number, op: number): void {
  const w = region.words
  w[word(block, CALL.op)] = op
  w[word(block, CALL.data_len)] = 0
  Atomics.store(w, word(block), CALL_POSTED | (9 << 8))
  postBits(block)
}
function postBits(block: number): void {
  Atomics.or(region.words, REGION.call_dirty / 4 + (block >> 5), 1 << (block & 31))
  Atomics.or(region.words, REGION.call_top / 4, 1 << (block >> 5))
}
const state = (block: number) => Atomics.load(region.words, word(block)) & 0xff

t.test('take() serves each posted block once and answers in it', async t => {
  const calls = new Calls(region, memory())
  const served: number[] = []
  for (const block of [0, 31, 32, 1023]) post(block, 100 + block)
  const serve = (call: Call) => {
    served.push(call.op)
    call.out[0] = 42
    call.outLength = 1
    return call.op
  }
  t.equal(calls.take(serve, never), 4)
  t.same(served.sort(), [100, 1123, 131, 132])
  t.equal(calls.take(serve, never), 0)
  for (const block of [0, 31, 32, 1023]) {
    t.equal(state(block), CALL_DONE)
    t.equal(region.words[word(block, CALL.result)], 100 + block)
    t.equal(region.words[word(block, CALL.data_len)], 1)
    t.equal(region.bytes[ABI_CALLS_OFFSET + block * CALL_SIZE + CALL.data], 42)
    Atomics.store(region.words, word(block), CALL_FREE)
  }
})

t.test('a length beyond the block is cut', async t => {
  const calls = new Calls(region, memory())
  post(3, 1)
  region.words[word(3, CALL.data_len)] = -1
  calls.take(call => call.length, never)
  t.equal(region.words[word(3, CALL.result)], 448)
})

t.test(
  'a call put off is answered later; posted again meanwhile it is not served twice',
  async t => {
    const calls = new Calls(region, memory())
    let n = 0
    const serve = () => {
      n++
      return LATER
    }
    post(4, 1)
    calls.take(serve, never)
    postBits(4)
    calls.take(serve, never)
    t.equal(n, 1)
    t.equal(state(4), CALL_POSTED)
    calls.answer(4, 77)
    t.equal(state(4), CALL_DONE)
    t.equal(region.words[word(4, CALL.result)], 77)
  },
)

t.test('a call given up is forgotten and its block free', async t => {
  const calls = new Calls(region, memory())
  const forgotten: number[] = []
  post(5, 1)
  calls.take(() => LATER, never)
  Atomics.store(region.words, word(5), CALL_ABANDONED | (9 << 8))
  postBits(5)
  calls.take(
    () => 0,
    block => forgotten.push(block),
  )
  t.same(forgotten, [5])
  t.equal(state(5), CALL_FREE)
})

t.test('answer() to a call given up just now frees its block', async t => {
  const calls = new Calls(region, memory())
  post(6, 1)
  calls.take(() => LATER, never)
  Atomics.store(region.words, word(6), CALL_ABANDONED | (9 << 8))
  calls.answer(6, 1)
  t.equal(state(6), CALL_FREE)
})

t.test('reclaim() frees the blocks of one slot, whatever their state', async t => {
  const calls = new Calls(region, memory())
  Atomics.store(region.words, word(7), CALL_CLAIMED | (9 << 8))
  Atomics.store(region.words, word(8), CALL_DONE | (9 << 8))
  Atomics.store(region.words, word(9), CALL_CLAIMED | (10 << 8))
  calls.reclaim(9, never)
  t.same([7, 8, 9].map(state), [CALL_FREE, CALL_FREE, CALL_CLAIMED])
  Atomics.store(region.words, word(9), CALL_FREE)
})

t.test('recover(): what was in work is EIO, what was put off is served again', async t => {
  const shared = memory()
  const before = new Calls(region, shared)
  post(10, 1)
  post(11, 2)
  t.throws(() =>
    before.take(call => {
      if (call.op === 1) throw new Error('the thread ends here')
      return LATER
    }, never),
  )
  postBits(11)
  before.take(() => LATER, never)
  const after = new Calls(region, shared)
  const served: number[] = []
  after.recover(call => {
    served.push(call.op)
    return 5
  })
  t.same(served, [2])
  t.equal(region.words[word(10, CALL.result)], -EIO)
  t.equal(region.words[word(11, CALL.result)], 5)
  t.same([10, 11].map(state), [CALL_DONE, CALL_DONE])
})

t.test('takeWork() finds every record posted, once', async t => {
  const posted = [0, 1, 31, 32, 1023, 1024, 16383]
  for (const r of posted) {
    Atomics.or(region.words, REGION.work_dirty / 4 + (r >> 5), 1 << (r & 31))
    Atomics.or(region.words, REGION.work_summary / 4 + (r >> 10), 1 << ((r >> 5) & 31))
    Atomics.or(region.words, REGION.work_top / 4, 1 << (r >> 10))
  }
  const got: number[] = []
  t.equal(
    takeWork(region, r => got.push(r)),
    posted.length,
  )
  t.same(
    got.sort((a, b) => a - b),
    posted,
  )
  t.equal(
    takeWork(region, () => {}),
    0,
  )
})

t.test('repairWork() finds a post cut short by the death of the poster', async t => {
  Atomics.or(region.words, REGION.work_dirty / 4 + 100, 1 << 3)
  const got: number[] = []
  takeWork(region, r => got.push(r))
  t.same(got, [])
  repairWork(region)
  takeWork(region, r => got.push(r))
  t.same(got, [3203])
})
