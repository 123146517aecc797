import t from 'tap'
import { newReno } from '../../../../src/stack/transport/tcp/newreno.ts'
import { record } from '../../../helpers/record.ts'

const MSS = 1000

for (const [name, stretch] of [
  ['each segment', 1],
  ['two segments', 2],
  ['a whole window', 20],
] as const)
  t.test(`avoid(), an ACK for ${name}: a segment more in a round trip`, async t => {
    const tcb = record()
    tcb.snd.cwnd = 20 * MSS
    for (let round = 1; round <= 10; round++) {
      let left = tcb.snd.cwnd
      for (; left > 0; left -= stretch * MSS)
        newReno.avoid(tcb, Math.min(left, stretch * MSS), MSS, 0)
      t.equal(tcb.snd.cwnd, (20 + round) * MSS)
    }
  })

t.test('avoid(): splitting an ACK gains nothing', async t => {
  const tcb = record()
  tcb.snd.cwnd = 10 * MSS
  for (let i = 0; i < 10 * MSS; i += 10) newReno.avoid(tcb, 10, MSS, 0)
  t.equal(tcb.snd.cwnd, 11 * MSS)
})

t.test('avoid(): cwnd ends at 2^30', async t => {
  const tcb = record()
  tcb.snd.cwnd = (1 << 30) - 10
  for (let i = 0; i < 10; i++) newReno.avoid(tcb, 1 << 29, MSS, 0)
  t.equal(tcb.snd.cwnd, 1 << 30)
})

for (const [flight, want] of [
  [20 * MSS, 10 * MSS],
  [3 * MSS, 2 * MSS],
  [0, 2 * MSS],
] as const)
  t.test(`reduce(), ${flight} bytes on their way`, async t => {
    const tcb = record()
    tcb.snd.cwnd = 20 * MSS
    newReno.avoid(tcb, 15 * MSS, MSS, 0)
    t.equal(newReno.reduce(tcb, flight, MSS, 0), want, 'equation 4 of RFC 5681')
    tcb.snd.cwnd = want
    newReno.avoid(tcb, want - 1, MSS, 0)
    t.equal(tcb.snd.cwnd, want, 'counts from 0 again')
    newReno.avoid(tcb, 1, MSS, 0)
    t.equal(tcb.snd.cwnd, want + MSS)
  })
