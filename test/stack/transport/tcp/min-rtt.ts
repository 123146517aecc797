import t from 'tap'
import {
  MIN_RTT_WINDOW,
  resetMinRtt,
  updateMinRtt,
} from '../../../../src/stack/transport/tcp/min-rtt.ts'
import { R } from '../../../../src/stack/transport/tcp/layout.ts'
import type { Tcb } from '../../../../src/stack/transport/tcp/tcb.ts'
import { random } from '../../../helpers/random.ts'
import { Host, accepted } from '../../../helpers/tcp-pair.ts'

const W = MIN_RTT_WINDOW

/** A round trip took `r` ms. */
function measured(take: (tcb: Tcb, now: number) => void, tcb: Tcb, r: number, now: number): void {
  tcb.times[tcb.at64 + R] = r
  take(tcb, now)
}

function filter() {
  const p = accepted(new Host())
  return p.host.tcp.tcb(p.tcb)
}

for (const [name, samples, want] of [
  [
    'the least counts',
    [
      [0, 30],
      [1, 20],
      [2, 40],
    ],
    20,
  ],
  [
    'an equal one counts as new',
    [
      [0, 20],
      [W - 1, 20],
      [2 * W - 2, 50],
    ],
    20,
  ],
  [
    'what is older than the window does not',
    [
      [0, 20],
      [W / 2, 50],
      [W + 1, 60],
    ],
    50,
  ],
  [
    'a longer path, after one window',
    [
      [0, 20],
      [10, 80],
      [W * 0.3, 80],
      [W * 0.6, 80],
      [W + 1, 80],
    ],
    80,
  ],
  [
    'and not before',
    [
      [0, 20],
      [10, 80],
      [W * 0.3, 80],
      [W * 0.6, 80],
      [W, 80],
    ],
    20,
  ],
  [
    'after a long silence only the next one',
    [
      [0, 20],
      [1, 30],
      [5 * W, 90],
    ],
    90,
  ],
  [
    'of two that are too old both go',
    [
      [0, 20],
      [1, 30],
      [W * 0.9, 70],
      [W * 1.5, 60],
    ],
    60,
  ],
] as const)
  // prettier-ignore
  t.test(`minRtt: ${name}`, async t => {
    const tcb = filter()
    const [[begin, first], ...others] = samples
    measured(resetMinRtt, tcb, first, begin)
    for (const [now, r] of others) measured(updateMinRtt, tcb, r, now)
    t.equal(tcb.snd.minRtt, want)
  })

t.test(
  'never below what the window holds, nor above what all of it since a quarter ago holds',
  async t => {
    const tcb = filter()
    const next = random(7)
    const all: [number, number][] = []
    let now = 0
    for (let i = 0; i < 3000; i++) {
      now += next() % 4000
      const r = 10 + (next() % 1000) + (i > 1500 ? 500 : 0)
      all.push([now, r])
      if (i === 0) measured(resetMinRtt, tcb, r, now)
      else measured(updateMinRtt, tcb, r, now)
      const since = (age: number) =>
        Math.min(...all.filter(([when]) => now - when <= age).map(([, value]) => value))
      if (tcb.snd.minRtt < since(W) || tcb.snd.minRtt > since(W / 4))
        t.fail(`sample ${i}: ${tcb.snd.minRtt}, of the window ${since(W)}`)
    }
    t.ok(tcb.snd.minRtt >= 510)
  },
)
