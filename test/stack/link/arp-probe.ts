import t from 'tap'
import {
  ArpProbes,
  PROBE_FULL,
  PROBE_QUICK,
  type ProbeTiming,
} from '../../../src/stack/link/arp-probe.ts'
import { formatMac } from '../../../src/wire/mac.ts'
import { ip, macOf } from '../../helpers/net.ts'

const US = macOf(1)

class Probing {
  now = 1000
  sent: string[] = []
  answers: string[] = []
  room = true
  random = 0
  readonly probes = new ArpProbes(
    () => this.random,
    () => {
      if (this.room) this.sent.push(`${this.now - 1000}`)
      return this.room
    },
  )

  constructor() {
    this.probes.linkUp()
  }

  start(address = ip('10.0.0.5'), timing: ProbeTiming = PROBE_QUICK): this {
    this.probes.start(
      address,
      (free, now, owner) => {
        t.equal(owner === undefined, free)
        if (owner !== undefined) t.equal(formatMac(owner), formatMac(macOf(2)))
        this.answers.push(`${free ? 'free' : 'taken'} ${now - 1000}`)
      },
      timing,
    )
    return this
  }

  pass(ms: number): this {
    for (const end = this.now + ms; ; this.now = Math.max(this.now, this.probes.next)) {
      if (this.probes.next > end) {
        this.now = end
        return this
      }
      this.now = Math.max(this.now, this.probes.next)
      this.probes.run(this.now)
    }
  }

  heard(spa: string, tpa: string, mac = macOf(2)): this {
    this.probes.heard(ip(spa), ip(tpa), mac, US, this.now)
    return this
  }
}

t.test('three probes 100 ms apart, and 100 ms later nobody has the address', async t => {
  const p = new Probing().start().pass(299)
  t.same(p.sent, ['0', '100', '200'])
  t.same(p.answers, [])
  t.same(p.pass(1).answers, ['free 300'])
  t.equal(p.probes.next, Infinity)
})

// RFC 5227 section 1.1.
for (const [random, sent, answer] of [
  [0, ['0', '1000', '2000'], 'free 4000'],
  [2 ** 31, ['500', '2000', '3500'], 'free 5500'],
  [2 ** 32, ['1000', '3000', '5000'], 'free 7000'],
] as const)
  t.test(`PROBE_FULL, random number ${random}`, async t => {
    const p = new Probing()
    p.random = random
    p.start(ip('10.0.0.5'), PROBE_FULL).pass(10_000)
    t.same(p.sent, sent)
    t.same(p.answers, [answer])
  })

t.test('what had no room is sent later', async t => {
  const p = new Probing().start()
  p.room = false
  p.pass(150)
  p.room = true
  t.same(p.pass(2000).sent, ['200', '300', '400'])
  t.same(p.answers, ['free 500'])
})

t.test('a link that is down gives no answer; another link is asked anew', async t => {
  const p = new Probing().start().pass(150)
  p.probes.linkDown()
  t.equal(p.probes.next, Infinity)
  t.same(p.pass(10_000).answers, [])
  p.probes.linkUp()
  t.same(p.pass(299).answers, [])
  t.equal(p.sent.length, 5)
  t.equal(p.pass(1).answers.length, 1)
})

t.test('cancel(): no answer, and no more probes', async t => {
  const p = new Probing().start().pass(50)
  p.probes.cancel(ip('10.0.0.5'))
  p.pass(5000).heard('10.0.0.5', '10.0.0.5')
  t.same([p.sent.length, p.answers], [1, []])
})

t.test('after ten conflicts, one try a minute (section 2.1.1)', async t => {
  const p = new Probing()
  for (let i = 0; i < 10; i++) p.start().pass(10).heard('10.0.0.5', '10.0.0.5')
  t.equal(p.sent.length, 10)
  t.equal(p.start().pass(59_999).sent.length, 10)
  t.equal(p.pass(301).answers.at(-1), 'free 60400')
})

for (const [what, spa, tpa, mac, want] of [
  ['an answer', '10.0.0.5', '0.0.0.0', macOf(2), ['taken 0']],
  ['its announcement', '10.0.0.5', '10.0.0.5', macOf(2), ['taken 0']],
  ['its question for another', '10.0.0.5', '10.0.0.9', macOf(2), ['taken 0']],
  ['another’s probe for the same address', '0.0.0.0', '10.0.0.5', macOf(2), ['taken 0']],
  ['another’s probe for another address', '0.0.0.0', '10.0.0.6', macOf(2), []],
  ['another’s question for it', '10.0.0.6', '10.0.0.5', macOf(2), []],
  ['our own probe that comes back', '0.0.0.0', '10.0.0.5', US, []],
] as const)
  t.test(`heard(): ${what}`, async t => {
    const p = new Probing().start().pass(0).heard(spa, tpa, mac)
    t.same(p.answers, want)
    p.pass(5000)
    t.equal(p.answers.length, 1, 'one answer')
    t.equal(p.sent.length, want.length === 0 ? 3 : 1)
  })

t.test('the same address again begins anew; others are asked for beside it', async t => {
  const p = new Probing().start().pass(150).start()
  t.same(p.pass(299).answers, [])
  t.same(p.pass(1).answers, ['free 450'])
  const many = new Probing()
  for (let i = 0; i < 9; i++) many.start(ip(`10.0.0.${i}`))
  t.equal(many.pass(300).answers.length, 9)
})
