import t from 'tap'

import { UserError } from '../../src/base/user-error.ts'
import { faultParameters, NO_FAULT } from '../../src/plug/fault-parameters.ts'
import { parseVnl } from '../../src/plug/vnl.ts'

const parse = (words: string) => faultParameters(parseVnl(`fault://${words}{null://}`))
const WITHOUT_RATE = { ...NO_FAULT, queue: Infinity }

t.test('nothing said: a perfect link, a seed by chance', async t => {
  const { in: inward, out, seed } = parse('')
  t.same([inward, out], [WITHOUT_RATE, WITHOUT_RATE])
  t.type(seed, 'number')
  t.not(seed, parse('').seed)
})

for (const [words, want] of [
  ['delay=20', { delay: 20, jitter: 0 }],
  ['d=0.5', { delay: 0.5 }],
  ['delay=100+50', { delay: 100, jitter: 50, normal: false }],
  ['delay=100+50U', { delay: 100, jitter: 50, normal: false }],
  ['d=100+50N', { delay: 100, jitter: 50, normal: true }],
  ['loss=1', { loss: 0.01 }],
  ['l=0.1%', { loss: 0.001 }],
  ['loss=50,lostburst=3', { loss: 0.5, lostburst: 3 }],
  ['l=50/L=3', { loss: 0.5, lostburst: 3 }],
  ['loss=100,lostburst=3', { loss: 1, lostburst: 3 }],
  ['dup=1', { dup: 0.01 }],
  ['D=1', { dup: 0.01 }],
  ['reorder=25', { reorder: 0.25 }],
  ['nofifo', { fifo: false }],
  ['N', { fifo: false }],
  ['corrupt=0.1', { corrupt: 0.001 }],
  ['damage=8', { damage: 8 / 2 ** 23 }],
  ['n=8', { damage: 8 / 2 ** 23 }],
  ['rate=100mbit', { rate: 100_000, queue: 625_000 }],
  ['rate=1gbit,queue=1m', { rate: 1e6, queue: 2 ** 20 }],
  ['queue=1m,rate=1gbit', { rate: 1e6, queue: 2 ** 20 }],
  ['rate=1G', { rate: 1e6 }],
  ['rate=9600', { rate: 9.6, queue: 65_536 }],
  ['rate=1.5mbps', { rate: 12_000 }],
  ['b=125K', { rate: 1024 }],
  ['speed=10mbit', { speed: 10_000 }],
  ['s=1M', { speed: 8388.608 }],
  ['c=64k', { queue: 65_536 }],
  ['mtu=1400', { mtu: 1400 }],
  ['m=1414', { mtu: 1400 }],
] as const)
  t.test(`faultParameters() of "${words}"`, async t => {
    const { in: inward, out } = parse(words)
    t.match(out, want)
    t.same(inward, out)
    for (const key of Object.keys(out) as (keyof typeof out)[])
      if (!(key in want) && key !== 'queue') t.equal(out[key], NO_FAULT[key], key)
  })

for (const [words, inward, out] of [
  ['in.loss=1', 0.01, 0],
  ['out.loss=1', 0, 0.01],
  ['loss=LR1', 0, 0.01],
  ['l=RL1', 0.01, 0],
  ['loss=3,in.loss=1', 0.01, 0.03],
  ['in.loss=1,loss=3', 0.03, 0.03],
] as const)
  t.test(`faultParameters() of "${words}": one direction`, async t => {
    const parameters = parse(words)
    t.same([parameters.in.loss, parameters.out.loss], [inward, out])
  })

t.test('a seed is for both; brackets do as well', async t => {
  t.equal(parse('seed=7').seed, 7)
  t.equal(parse('[loss=2/seed=123456789012345]').seed, 123456789012345)
  t.equal(parse('delay=3[loss=2]').in.loss, 0.02)
})

for (const [words, why] of [
  ['lost=1', 'no such fault "lost" (delay loss lostburst dup reorder nofifo corrupt damage rate speed queue mtu seed)'], // prettier-ignore
  ['in.seed=1', /^no such fault "in\.seed"/],
  ['toString=1', /^no such fault "toString"/],
  ['loss', '"loss" makes no sense (loss=1 is one percent)'],
  ['loss=', '"loss" makes no sense (loss=1 is one percent)'],
  ['loss=x', '"loss=x" makes no sense (loss=1 is one percent)'],
  ['loss=101', '"loss=101" makes no sense (loss=1 is one percent)'],
  ['loss=-1', '"loss=-1" makes no sense (loss=1 is one percent)'],
  ['in.loss=LR1', '"in.loss=LR1" makes no sense (loss=1 is one percent)'],
  ['delay=1+', '"delay=1+" makes no sense (delay=20, delay=100+50, delay=100+50N)'],
  ['delay=20ms', '"delay=20ms" makes no sense (delay=20, delay=100+50, delay=100+50N)'],
  ['lostburst=0.5', '"lostburst=0.5" makes no sense (lostburst=3)'],
  ['nofifo=1', '"nofifo=1" makes no sense (nofifo has no value)'],
  ['rate=0', '"rate=0" makes no sense (rate=100mbit)'],
  ['rate=fast', '"rate=fast" makes no sense (rate=100mbit)'],
  ['damage=9000000', '"damage=9000000" makes no sense (damage=8)'],
  ['mtu=0', '"mtu=0" makes no sense (mtu=1400)'],
  ['m=14', '"m=14" makes no sense (m=1414)'],
  ['seed=x', '"seed=x" makes no sense (seed=7)'],
  ['loss=80,lostburst=2', '80 % of loss needs bursts of 4 frames or more (lostburst=4)'],
] as const)
  t.test(`faultParameters() of "${words}" is refused`, async t => {
    let said = 'nothing'
    try {
      parse(words)
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      said = error.message
    }
    const prefix = `Cannot open plug "fault://${words}{null://}": `
    t.ok(said.startsWith(prefix), said)
    t.match(said.slice(prefix.length), why)
  })
