import t from 'tap'

import {
  AGEING,
  MacTable,
  MAX_LEARNT,
  MAX_LEARNT_PER_PORT,
  MAX_REGISTERED,
  NOWHERE,
} from '../../src/switch/mac-table.ts'
import { random } from '../helpers/random.ts'

t.test('learn() and find(): a station is where it sent from last', async t => {
  const macs = new MacTable()
  t.equal(macs.find(0x0200, 1, 0), NOWHERE)
  t.ok(macs.learn(0x0200, 1, 7, 0))
  t.equal(macs.find(0x0200, 1, 0), 7)
  t.equal(macs.find(0x0201, 1, 0), NOWHERE, 'the upper half counts')
  t.ok(macs.learn(0x0200, 1, 8, 1))
  t.equal(macs.find(0x0200, 1, 1), 8, 'it moved')
  t.equal(macs.learnt, 1)
})

t.test('a learnt entry ages, traffic keeps it', async t => {
  const macs = new MacTable()
  macs.learn(0x0200, 1, 7, 0)
  t.equal(macs.find(0x0200, 1, AGEING), 7)
  t.equal(macs.find(0x0200, 1, AGEING + 1), NOWHERE)
  macs.learn(0x0200, 1, 7, AGEING)
  t.equal(macs.find(0x0200, 1, 2 * AGEING), 7)
  macs.learn(0x0200, 2, 7, 0)
  macs.sweep(AGEING + 1)
  t.equal(macs.learnt, 1)
  macs.sweep(3 * AGEING)
  t.equal(macs.learnt, 0)
})

t.test('a registered address stays, and is its port’s alone', async t => {
  const macs = new MacTable()
  macs.learn(0x0200, 1, 3, 0)
  macs.register(0x0200, 1, 7)
  t.equal(macs.learnt, 0, 'the learnt entry became the registered one')
  t.notOk(macs.learn(0x0200, 1, 3, 0))
  t.ok(macs.learn(0x0200, 1, 7, 0))
  macs.sweep(100 * AGEING)
  t.equal(macs.find(0x0200, 1, 100 * AGEING), 7)
  macs.forget(7)
  t.equal(macs.find(0x0200, 1, 0), NOWHERE)
  t.ok(macs.learn(0x0200, 1, 3, 0))
})

t.test('forget() takes what was learnt behind the port, nothing else', async t => {
  const macs = new MacTable()
  for (let i = 0; i < 900; i++) macs.learn(0x0200, i, i % 3, 0)
  macs.forget(1)
  t.equal(macs.learnt, 600)
  let wrong = 0
  for (let i = 0; i < 900; i++)
    if (macs.find(0x0200, i, 0) !== (i % 3 === 1 ? NOWHERE : i % 3)) wrong++
  t.equal(wrong, 0)
})

t.test('one port cannot fill the table, all together cannot overfill it', async t => {
  const macs = new MacTable()
  for (let i = 0; i < 2 * MAX_LEARNT_PER_PORT; i++) t.ok(macs.learn(0x0200, i, 0, 0))
  t.equal(macs.learnt, MAX_LEARNT_PER_PORT)
  t.equal(macs.find(0x0200, 0, 0), 0)
  t.equal(macs.find(0x0200, 2 * MAX_LEARNT_PER_PORT - 1, 0), NOWHERE)
  for (let port = 1; port < 20; port++)
    for (let i = 0; i < MAX_LEARNT_PER_PORT; i++) macs.learn(0x0202, port * 10_000 + i, port, 0)
  t.equal(macs.learnt, MAX_LEARNT)
  for (let i = 0; i < MAX_REGISTERED; i++) macs.register(0x0204, i, 100 + i)
  t.equal(macs.find(0x0204, MAX_REGISTERED - 1, 0), 99 + MAX_REGISTERED)
  t.equal(macs.find(0x0206, 0, 0), NOWHERE, 'a search in the fullest table ends')
  t.throws(() => macs.register(0x0206, 0, 1), /4096 ports/)
})

for (const seed of [1, 2])
  t.test(`seed ${seed}: agrees with a Map`, async t => {
    const next = random(seed)
    const macs = new MacTable()
    const twin = new Map<number, { port: number; seen: number; registered: boolean }>()
    let wrong = 0
    for (let now = 0, i = 0; i < 20_000; i++) {
      const low = next() % 500
      const port = next() % 10
      const known = twin.get(low)
      const action = next() % 100
      if (action < 50) {
        const may = !known?.registered || known.port === port
        if (macs.learn(0x0200, low, port, now) !== may) wrong++
        if (may && !known?.registered) twin.set(low, { port, seen: now, registered: false })
      } else if (action < 96) {
        const fresh = known && (known.registered || now - known.seen <= AGEING)
        if (macs.find(0x0200, low, now) !== (fresh ? known.port : NOWHERE)) wrong++
      } else if (action < 98) {
        if (known?.registered) continue
        macs.register(0x0200, low, port)
        twin.set(low, { port, seen: 0, registered: true })
      } else if (action === 98) {
        now += next() % 100
        macs.sweep(now)
        for (const [key, entry] of twin)
          if (!entry.registered && now - entry.seen > AGEING) twin.delete(key)
      } else {
        macs.forget(port)
        for (const [key, entry] of twin) if (entry.port === port) twin.delete(key)
      }
    }
    t.equal(wrong, 0)
    t.equal(macs.learnt, [...twin.values()].filter(entry => !entry.registered).length)
  })
