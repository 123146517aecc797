import t from 'tap'
import { Timers } from '../../src/base/timers.ts'
import { random } from '../helpers/random.ts'

t.test('Timers.take() gives what is due, the earliest first', async t => {
  const timers = new Timers(4)
  t.equal(timers.next, Infinity)
  t.equal(timers.take(1e9), -1)
  timers.set(2, 30)
  timers.set(0, 10)
  timers.set(3, 20)
  t.equal(timers.next, 10)
  t.equal(timers.length, 3)
  t.equal(timers.take(9.5), -1)
  t.equal(timers.take(25), 0)
  t.equal(timers.take(25), 3)
  t.equal(timers.take(25), -1)
  t.equal(timers.next, 30)
})

t.test('Timers.set() moves a deadline both ways, Infinity and clear() take it away', async t => {
  const timers = new Timers(3)
  timers.set(0, 10)
  timers.set(1, 20)
  timers.set(0, 30)
  t.equal(timers.next, 20)
  timers.set(0, 5)
  t.equal(timers.next, 5)
  t.equal(timers.at(0), 5)
  timers.set(0, Infinity)
  t.equal(timers.at(0), Infinity)
  timers.clear(1)
  timers.clear(1)
  t.equal(timers.next, Infinity)
  t.equal(timers.length, 0)
})

t.test('Timers.set() refuses an id beyond the capacity, and NaN', async t => {
  const timers = new Timers(2)
  t.throws(() => timers.set(2, 1), RangeError)
  t.throws(() => timers.set(-1, 1), RangeError)
  t.throws(() => timers.set(0, NaN), RangeError)
})

t.test('Timers agrees with a sorted list over 20,000 random operations, seed 7', async t => {
  const next = random(7)
  const timers = new Timers(64)
  const model = new Map<number, number>()
  let wrong = 0
  for (let i = 0; i < 20000; i++) {
    const id = next() % 64
    const kind = next() % 4
    if (kind < 2) {
      const when = next() % 1000
      timers.set(id, when)
      model.set(id, when)
    } else if (kind === 2) {
      timers.clear(id)
      model.delete(id)
    } else {
      const now = next() % 1000
      const taken = timers.take(now)
      const earliest = Math.min(...model.values())
      if (taken < 0 ? earliest <= now : model.get(taken) !== earliest) wrong++
      model.delete(taken)
    }
    if (timers.next !== Math.min(...model.values()) || timers.length !== model.size) wrong++
  }
  t.equal(wrong, 0)
})
