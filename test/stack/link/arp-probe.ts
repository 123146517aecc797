import t from 'tap'
import { ArpProbes } from '../../../src/stack/link/arp-probe.ts'
import { ip, macOf } from '../../helpers/net.ts'

const US = macOf(1)

class Probing {
  now = 1000
  sent: string[] = []
  answers: string[] = []
  room = true
  readonly probes = new ArpProbes(() => {
    if (this.room) this.sent.push(`${this.now - 1000}`)
    return this.room
  })

  start(address = ip('10.0.0.5')): this {
    this.probes.start(address, (free, now) =>
      this.answers.push(`${free ? 'free' : 'taken'} ${now - 1000}`),
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

t.test('three probes 200 ms apart, and 200 ms later nobody has the address', async t => {
  const p = new Probing().start().pass(599)
  t.same(p.sent, ['0', '200', '400'])
  t.same(p.answers, [])
  t.same(p.pass(1).answers, ['free 600'])
  t.equal(p.probes.next, Infinity)
})

t.test('what had no room is sent later', async t => {
  const p = new Probing().start()
  p.room = false
  p.pass(300)
  p.room = true
  t.same(p.pass(2000).sent, ['400', '600', '800'])
  t.same(p.answers, ['free 1000'])
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

t.test('the same address again begins anew; of nine the first is given up', async t => {
  const p = new Probing().start().pass(300).start()
  t.same(p.pass(599).answers, [])
  t.same(p.pass(1).answers, ['free 900'])
  const many = new Probing()
  for (let i = 0; i < 9; i++) many.start(ip(`10.0.0.${i}`))
  t.equal(many.pass(1000).answers.length, 8)
})
