import t from 'tap'
import { TCP_INFO_LENGTH } from '../../../../src/stack/transport/tcp/info.ts'
import { ACK, FIN } from '../../../../src/wire/tcp.ts'
import { HERE, Host, Inbox, Outbox, THERE, accepted } from '../../../helpers/tcp-pair.ts'

const info = (host: Host, tcb: number, length = TCP_INFO_LENGTH, listening = false) => {
  const out = new Uint8Array(length)
  const n = host.tcp.info(tcb, listening, out, host.now)
  return { n, out, view: new DataView(out.buffer) }
}
const u32 = (v: DataView, at: number) => v.getUint32(at, true)
const u64 = (v: DataView, at: number) => Number(v.getBigUint64(at, true))

for (const [name, full, limited] of [
  ['a full send buffer that is all on its way', true, 30_000],
  ['a send buffer with room', false, 0],
] as const)
  t.test(`tcpi_sndbuf_limited: ${name}`, async t => {
    const host = new Host()
    const p = accepted(host, { mss: 1000 })
    p.write(new Uint8Array(3000), false, full)
    host.clock.advance(30)
    p.says({ ack: 2001 })
    host.clock.advance(10)
    const { view } = info(host, p.tcb)
    t.equal(u64(view, 168), 40_000, 'busy_time')
    t.equal(u64(view, 176), 0, 'rwnd_limited')
    t.equal(u64(view, 184), limited)
  })

t.test('TCP_INFO, a connection that has done something', async t => {
  const host = new Host()
  const p = accepted(host, { mss: 1000, wscale: 5, sackOk: true, ts: true })
  p.write(new Uint8Array(3000))
  host.clock.advance(20)
  p.says({ ack: 1977 })
  p.says({ ack: 1977, text: 'hello' })
  const { n, out, view } = info(host, p.tcb)
  t.equal(n, TCP_INFO_LENGTH)
  t.equal(out[0], 1, 'TCP_ESTABLISHED')
  t.equal(out[5], 7, 'timestamps, SACK, window scaling')
  t.equal(out[6], 5 | (7 << 4))
  t.equal(u32(view, 16), 988, 'snd_mss')
  t.equal(u32(view, 24), 2, 'unacked')
  t.equal(u32(view, 60), 1500, 'pmtu')
  t.ok(u32(view, 68) > 1000 && u32(view, 68) < 30_000, `rtt ${u32(view, 68)} µs`)
  t.ok(u32(view, 8) >= 200_000, 'rto')
  t.ok(u32(view, 80) >= 10, 'cwnd')
  t.equal(u32(view, 84), 1460, 'advmss')
  t.equal(u64(view, 120), 1976, 'bytes_acked')
  t.equal(u64(view, 128), 5, 'bytes_received')
  t.ok(u32(view, 136) >= 4, 'segs_out')
  t.ok(u32(view, 140) >= 4, 'segs_in')
  t.equal(u32(view, 152), 1, 'data_segs_in')
  t.equal(u32(view, 156), 4, 'data_segs_out')
  t.equal(u64(view, 200), 3000, 'bytes_sent')
  t.equal(u32(view, 228), 65_535 << 5, 'snd_wnd')
})

t.test('TCP_INFO counts what was sent again', async t => {
  const host = new Host()
  const p = accepted(host)
  p.write('x')
  p.wait(1500)
  const { out, view } = info(host, p.tcb)
  t.ok(u32(view, 100) >= 1, 'total_retrans')
  t.ok(out[2] >= 1, 'retransmits')
  t.equal(out[1], 4, 'TCP_CA_Loss')
  t.ok(u64(view, 208) >= 1, 'bytes_retrans')
})

t.test('TCP_INFO, states', async t => {
  const host = new Host()
  t.equal(info(host, -1).out[0], 7, 'TCP_CLOSE')
  t.equal(info(host, -1, 248, true).out[0], 10, 'TCP_LISTEN')
  const tcb = host.tcp.open(HERE, 0, THERE, 80, new Outbox(), new Inbox(), {}, host.now)
  t.equal(info(host, tcb).out[0], 2, 'TCP_SYN_SENT')
  const p = accepted(host)
  p.says({ flags: ACK | FIN })
  t.equal(info(host, p.tcb).out[0], 8, 'TCP_CLOSE_WAIT')
})

t.test('TCP_INFO into less room', async t => {
  const host = new Host()
  const p = accepted(host)
  const whole = info(host, p.tcb).out
  for (const n of [0, 1, 8, 104, 192, 247]) {
    const { n: got, out } = info(host, p.tcb, n)
    t.equal(got, n)
    t.same(out, whole.subarray(0, n))
  }
  t.equal(info(host, p.tcb, 1000).n, TCP_INFO_LENGTH)
})
