// TCP Fast Open (RFC 7413): text in the SYN, from both sides.
import t from 'tap'
import { ECONNRESET, ETIMEDOUT } from '../../../../src/base/errno.ts'
import { EV_CONNECTED, EV_ERROR, EV_ROOM } from '../../../../src/stack/transport/tcp/user.ts'
import { Address } from '../../../../src/wire/address.ts'
import { ACK, FIN, PSH, RST, SYN } from '../../../../src/wire/tcp.ts'
import { type Fields, type Sent, text } from '../../../helpers/segment.ts'
import { HERE, Host, Inbox, Outbox, Pair, THERE, accepted } from '../../../helpers/tcp-pair.ts'

const strings = (sent: readonly Sent[]) => sent.map(text)

// ---- server

function server(settings = {}): Host {
  const host = new Host()
  host.tcp.listen(HERE, 80, false, 7, { fastOpen: 3, ...settings })
  return host
}
function says(host: Host, f: Fields, from = THERE): Sent[] {
  host.arrive({ srcPort: 9, dstPort: 80, ...f }, from)
  host.turn()
  return host.take().filter(s => s.dstPort === (f.srcPort ?? 9))
}
const syn = (host: Host, f: Fields, from = THERE) =>
  says(host, { flags: SYN, seq: 99, mss: 1460, ...f }, from)
/** The cookie that THERE is given. */
function cookieOf(host: Host, from = THERE): readonly number[] {
  const [synAck] = syn(host, { srcPort: 8, cookie: [] }, from)
  says(host, { srcPort: 8, flags: RST, seq: 100 }, from)
  return synAck.cookie!
}

t.test(
  'SYN with a good cookie and text: the program has it before the handshake is done',
  async t => {
    const host = server()
    const [synAck] = syn(host, { cookie: cookieOf(host), text: 'hello' })
    t.match(synAck, { flags: SYN | ACK, ack: 105, cookie: undefined })
    const [{ tcb, in: inbox, out }] = host.user.accepted
    t.equal(host.tcp.state(tcb), 'SYN-RECEIVED')
    t.equal(inbox.string, 'hello')
    out.write('world')
    host.tcp.send(tcb, host.now)
    host.turn()
    t.match(host.take(), [{ flags: ACK | PSH, seq: synAck.seq + 1, ack: 105, up: 0 }])
    says(host, { flags: ACK, seq: 105, ack: synAck.seq + 6 })
    t.equal(host.tcp.state(tcb), 'ESTABLISHED')
    t.equal(out.length, 0)
    t.equal(host.user.accepted.length, 1)
    t.equal(host.tcp.fastOpen.pending, 0)
    t.equal(host.tcp.consumed(tcb), 5)
    t.equal(host.tcp.published(tcb), 5)
    says(host, { flags: ACK, seq: 105, ack: synAck.seq + 6, text: 'on' })
    t.equal(inbox.string, 'on')
  },
)

for (const [name, f, has] of [
  ['no option', {}, undefined],
  ['asks for a cookie', { cookie: [] }, 8],
  ['a wrong cookie', { cookie: [1, 2, 3, 4, 5, 6, 7, 8], text: 'x' }, 8],
  ['a cookie of 4 bytes', { cookie: [1, 2, 3, 4], text: 'x' }, 8],
  ['a cookie of 16 bytes', { cookie: new Array(16).fill(1), text: 'x' }, 8],
  ['a cookie of 5 bytes: no such option', { cookie: [1, 2, 3, 4, 5], text: 'x' }, undefined],
  ['a cookie of 2 bytes: no such option', { cookie: [1, 2], text: 'x' }, undefined],
  ['a cookie of 18 bytes: no such option', { cookie: new Array(18).fill(1), text: 'x' }, undefined],
  ['text without a cookie', { text: 'x' }, undefined],
] as [string, Fields, number | undefined][])
  t.test(`SYN, ${name}: an ordinary handshake`, async t => {
    const host = server()
    const [synAck] = syn(host, f)
    t.match(synAck, { flags: SYN | ACK, ack: 100 })
    t.equal(synAck.cookie?.length, has)
    t.equal(host.user.accepted.length, 0)
    t.match(syn(host, f), [{ flags: SYN | ACK, ack: 100 }], 'the SYN again: the SYN-ACK again')
    says(host, { flags: ACK, seq: 100, ack: synAck.seq + 1, text: 'x' })
    t.equal(host.user.accepted[0].in.string, 'x')
  })

t.test('a listener without TCP_FASTOPEN knows no such option', async t => {
  const host = server({ fastOpen: 0 })
  t.match(syn(host, { cookie: [], text: 'x' }), [{ ack: 100, cookie: undefined }])
})

t.test('TCP_FASTOPEN_NO_COOKIE: text is enough', async t => {
  const host = server({ fastOpenNoCookie: 1 })
  t.match(syn(host, { text: 'x' }), [{ ack: 101, cookie: undefined }])
  t.equal(host.user.accepted[0].in.string, 'x')
})

t.test('a cookie is good for one address, and for as long as the key', async t => {
  const host = server()
  const other = Address.v4(0x0a000003)
  const cookie = cookieOf(host)
  t.same(cookieOf(host), cookie)
  t.notSame(cookieOf(host, other), cookie)
  t.match(syn(host, { cookie, text: 'x' }, other), [{ ack: 100 }])
  const first = host.tcp.fastOpen.getKey()
  const second = new Uint8Array(16).fill(9)
  t.notOk(host.tcp.fastOpen.setKey(new Uint8Array(15)))
  t.ok(host.tcp.fastOpen.setKey(Uint8Array.of(...second, ...first)))
  const [old] = syn(host, { srcPort: 10, cookie, text: 'x' })
  t.equal(old.ack, 101, "the key before's is good")
  t.equal(old.cookie?.length, 8, 'and a new one comes')
  t.ok(host.tcp.fastOpen.setKey(second))
  t.match(syn(host, { srcPort: 11, cookie, text: 'x' }), [{ ack: 100, cookie: old.cookie }])
})

t.test(
  'the limit: more than TCP_FASTOPEN says wait for their handshake; a RST counts for a minute',
  async t => {
    const host = server()
    const cookie = cookieOf(host)
    const numbers: number[] = []
    for (let i = 0; i < 4; i++) {
      const [s] = syn(host, { srcPort: 20 + i, cookie, text: 'x' })
      numbers.push(s.seq)
      t.equal(s.ack, i < 3 ? 101 : 100)
    }
    says(host, { srcPort: 20, flags: ACK, seq: 101, ack: numbers[0] + 1 })
    t.equal(syn(host, { srcPort: 30, cookie, text: 'x' })[0].ack, 101)
    says(host, { srcPort: 21, flags: RST, seq: 101 })
    const { tcb } = host.user.accepted[1]
    t.equal(host.user.errno(tcb), ECONNRESET)
    t.equal(syn(host, { srcPort: 31, cookie, text: 'x' })[0].ack, 100)
    host.clock.advance(59_000)
    t.equal(syn(host, { srcPort: 32, cookie, text: 'x' })[0].ack, 100)
    host.clock.advance(1_001)
    t.equal(syn(host, { srcPort: 33, cookie, text: 'x' })[0].ack, 101)
  },
)

t.test(
  'SYN-RECEIVED, the SYN again: the SYN-ACK of everything; text of ours is not sent again by it',
  async t => {
    const host = server()
    const cookie = cookieOf(host)
    const [synAck] = syn(host, { cookie, text: 'hello' })
    const [{ tcb, out, in: inbox }] = host.user.accepted
    out.write('world')
    host.tcp.send(tcb, host.now)
    host.turn()
    host.take()
    t.match(syn(host, { cookie, text: 'hello' }), [{ flags: SYN | ACK, seq: synAck.seq, ack: 105 }])
    t.equal(inbox.string, 'hello')
    says(host, { flags: ACK, seq: 105, ack: synAck.seq + 1 })
    t.equal(host.tcp.state(tcb), 'ESTABLISHED')
    host.wait(1500)
    t.ok(strings(host.take()).includes('world'), 'lost text goes again when the handshake is done')
  },
)

t.test(
  'SYN-RECEIVED, nobody answers: the SYN-ACK again, five times, then the program is told',
  async t => {
    const host = server()
    syn(host, { cookie: cookieOf(host), text: 'hello' })
    const [{ tcb }] = host.user.accepted
    host.wait(200_000)
    t.same(
      host.take().map(s => s.flags),
      new Array(5).fill(SYN | ACK),
    )
    t.equal(host.user.errno(tcb), ETIMEDOUT)
    t.equal(host.tcp.size, 0)
    t.equal(host.tcp.fastOpen.pending, 0)
  },
)

t.test('SYN-RECEIVED, the program closes at once: FIN behind the text', async t => {
  const host = server()
  const [synAck] = syn(host, { cookie: cookieOf(host), text: 'hello' })
  const [{ tcb, out, in: inbox }] = host.user.accepted
  inbox.take()
  out.write('bye')
  host.tcp.send(tcb, host.now)
  host.tcp.detach(tcb, host.now)
  host.turn()
  t.match(host.take(), [{ flags: ACK | PSH | FIN, seq: synAck.seq + 1 }])
  says(host, { flags: ACK, seq: 105, ack: synAck.seq + 5 })
  t.equal(host.tcp.state(tcb), 'FIN-WAIT-2')
})

t.test('SYN-RECEIVED, the program has unread text and goes: RST', async t => {
  const host = server()
  syn(host, { cookie: cookieOf(host), text: 'hello' })
  host.tcp.detach(host.user.accepted[0].tcb, host.now)
  host.turn()
  t.match(host.take(), [{ flags: RST | ACK }])
  t.equal(host.tcp.size, 0)
  t.equal(host.tcp.fastOpen.pending, 0)
})

t.test('the listener goes: what the program has stays', async t => {
  const host = server()
  const cookie = cookieOf(host)
  const [synAck] = syn(host, { cookie, text: 'hello' })
  syn(host, { srcPort: 44 })
  host.tcp.unlisten(7, host.now)
  host.turn()
  t.match(host.take(), [{ flags: RST | ACK, dstPort: 44 }])
  says(host, { flags: ACK, seq: 105, ack: synAck.seq + 1 })
  t.equal(host.tcp.state(host.user.accepted[0].tcb), 'ESTABLISHED')
})

t.test('the user does not take it: RST', async t => {
  const host = server()
  const cookie = cookieOf(host)
  host.user.take = false
  t.match(syn(host, { cookie, text: 'hello' }), [{ flags: RST | ACK }])
  t.equal(host.tcp.size, 0)
})

t.test('more text than the buffer holds: what fits is acknowledged', async t => {
  const host = server()
  const cookie = cookieOf(host)
  host.user.inboxSize = 4
  t.match(syn(host, { cookie, text: 'hello' }), [{ flags: SYN | ACK, ack: 104, wnd: 0 }])
  t.match(syn(host, { cookie, text: 'hello' }), [{ flags: SYN | ACK, ack: 104 }])
})

t.test('another thread: the connection goes on, and still counts', async t => {
  const host = server()
  const [synAck] = syn(host, { cookie: cookieOf(host), text: 'hello' })
  const [{ tcb, out, in: inbox }] = host.user.accepted
  t.same(host.replace(), [tcb])
  host.tcp.attach(tcb, out, inbox)
  host.turn()
  t.equal(host.tcp.fastOpen.pending, 1)
  says(host, { flags: ACK, seq: 105, ack: synAck.seq + 1, text: '!' })
  t.equal(inbox.string, 'hello!')
  t.equal(host.tcp.fastOpen.pending, 0)
})

t.test('setListenerOption(): for who comes after', async t => {
  const host = server({ fastOpen: 0 })
  t.equal(host.tcp.setListenerOption(7, 'fastOpen', 5), 0)
  t.ok(host.tcp.setListenerOption(8, 'fastOpen', 5) < 0)
  t.ok(host.tcp.setListenerOption(7, 'fastOpen', -1) < 0)
  t.equal(cookieOf(host).length, 8)
  t.equal(host.tcp.setListenerOption(7, 'reuse', 1), 0)
  t.equal(host.tcp.setListenerOption(7, 'noDelay', 1), 0)
  const p = accepted(host)
  t.equal(host.tcp.option(p.tcb, 'noDelay'), 1)
  host.tcp.unlisten(7, host.now)
})

// ---- client

const COOKIE = [1, 2, 3, 4, 5, 6, 7, 8]
const LONG = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]

/** open() with `early` in the buffer, and the SYN. */
function open(host: Host, early = '', settings = {}, remote = THERE) {
  const out = new Outbox()
  const inbox = new Inbox()
  out.write(early)
  const o = { fastOpenConnect: 1, ...settings }
  const tcb = host.tcp.open(HERE, 0, remote, 80, out, inbox, o, host.now)
  host.user.boxes.set(tcb, { out, in: inbox })
  host.turn()
  const sent = host.take().filter(s => s.srcPort === host.tcp.localPort(tcb))
  const answer = (f: Fields) => {
    const iss = host.tcp.tcb(tcb).snd.iss
    const dstPort = host.tcp.localPort(tcb)
    const ack = (iss + 1 + (f.ack ?? 0)) >>> 0
    host.arrive({ srcPort: 80, dstPort, flags: SYN | ACK, seq: 7, mss: 1460, ...f, ack }, remote)
    host.turn()
    return host.take()
  }
  return { tcb, out, in: inbox, sent, answer }
}
function learned(host: Host, cookie: readonly number[] = COOKIE, remote = THERE): void {
  const c = open(host, '', {}, remote)
  c.answer({ cookie })
  host.tcp.abort(c.tcb, host.now)
  host.turn()
  host.take()
}

t.test('the first SYN asks for a cookie and carries no text; the next has both', async t => {
  const host = new Host()
  const first = open(host, 'hello')
  t.match(first.sent, [{ flags: SYN, cookie: [] }])
  t.same(strings(first.sent), [''])
  t.same(strings(first.answer({ cookie: COOKIE })), ['hello'])
  const second = open(host, 'hello')
  t.match(second.sent, [{ flags: SYN | PSH, cookie: COOKIE }])
  t.same(strings(second.sent), ['hello'])
  const got = second.answer({ ack: 5 })
  t.match(got, [{ flags: ACK }])
  t.equal(second.out.length, 0)
  t.equal(host.user.events(second.tcb) & (EV_CONNECTED | EV_ROOM), EV_CONNECTED | EV_ROOM)
  t.equal(host.tcp.tcb(second.tcb).snd.retransmitAt, Infinity)
  t.equal(host.tcp.consumed(second.tcb), 5)
  t.equal(host.tcp.unsent(second.tcb), 0)
  t.equal(host.tcp.counters.fastOpens, 1)
})

for (const [name, ack, again] of [
  ['none', 0, 'hello'],
  ['a part', 2, 'llo'],
] as const)
  t.test(`SYN-SENT, the peer takes ${name} of the text: the rest at once`, async t => {
    const host = new Host()
    learned(host)
    const c = open(host, 'hello')
    const { cwnd } = host.tcp.tcb(c.tcb).snd
    t.same(strings(c.answer({ ack })), [again])
    t.ok(host.tcp.tcb(c.tcb).snd.cwnd > cwnd)
    t.equal(host.tcp.state(c.tcb), 'ESTABLISHED')
    c.answer({ flags: ACK, seq: 8, ack: 5 })
    t.equal(c.out.length, 0)
  })

for (const [name, ack, ok] of [
  ['more than was sent', 6, false],
  ['less than the SYN', -1, false],
  ['all', 5, true],
] as const)
  t.test(`SYN-SENT, an acknowledgment of ${name}`, async t => {
    const host = new Host()
    learned(host)
    const c = open(host, 'hello')
    c.answer({ ack })
    t.equal(host.tcp.state(c.tcb), ok ? 'ESTABLISHED' : 'SYN-SENT')
  })

t.test(
  'a long buffer: a segment of it goes with the SYN, by the MSS that the peer had',
  async t => {
    const host = new Host()
    learned(host)
    const c = open(host, 'x'.repeat(5000))
    t.equal(c.sent[0].text.length, 1460 - 32)
    const rest = c.answer({ ack: 1428 })
    t.equal(
      rest.reduce((n, s) => n + s.text.length, 0),
      5000 - 1428,
    )
  },
)

t.test('a cookie of 16 bytes fits beside all other options', async t => {
  const host = new Host()
  learned(host, LONG)
  t.match(open(host, 'x').sent, [{ cookie: LONG, sackOk: true, wscale: 7, mss: 1460 }])
})

t.test(
  'a lost SYN with text: again without either, and not for an hour to this destination',
  async t => {
    const host = new Host()
    learned(host)
    const c = open(host, 'hello')
    host.wait(1100)
    t.match(host.take(), [{ flags: SYN, cookie: undefined }])
    t.same(strings(c.answer({})), ['hello'])
    const next = (expected: string) => {
      const again = open(host, 'next')
      t.same(strings(again.sent), [expected])
      host.tcp.abort(again.tcb, host.now)
    }
    next('')
    host.clock.advance(3_590_000)
    next('')
    host.clock.advance(20_000)
    next('next')
    learned(host, COOKIE, Address.v4(0x0a000003))
    t.same(strings(open(host, 'other', {}, Address.v4(0x0a000003)).sent), ['other'])
  },
)

t.test('the answer to the first SYN comes late: its text is taken', async t => {
  const host = new Host()
  learned(host)
  const c = open(host, 'hello')
  host.wait(1100)
  host.take()
  c.answer({ ack: 5 })
  t.equal(host.tcp.state(c.tcb), 'ESTABLISHED')
  t.equal(c.out.length, 0)
})

t.test('SYN-SENT with text, RST: the connection is refused', async t => {
  const host = new Host()
  learned(host)
  const c = open(host, 'hello')
  c.answer({ flags: RST | ACK, ack: 5 })
  t.ok((host.user.events(c.tcb) & EV_ERROR) !== 0)
  t.equal(host.tcp.size, 0)
})

t.test('SYN-SENT with text, another thread: goes on', async t => {
  const host = new Host()
  learned(host)
  const c = open(host, 'hello')
  t.same(host.replace(), [c.tcb])
  host.tcp.attach(c.tcb, c.out, c.in)
  host.turn()
  host.take()
  c.answer({ ack: 5 })
  t.equal(c.out.length, 0)
})

t.test('TCP_FASTOPEN_CONNECT without text: the SYN waits for it, if it can go with it', async t => {
  const host = new Host()
  const first = open(host)
  t.equal(first.sent.length, 1, 'no cookie: at once')
  host.tcp.abort(first.tcb, host.now)
  learned(host)
  const c = open(host)
  host.wait(100_000)
  t.same(host.take(), [])
  t.equal(host.tcp.state(c.tcb), 'SYN-SENT')
  c.out.write('now')
  host.tcp.send(c.tcb, host.now)
  host.turn()
  t.same(strings(host.take()), ['now'])
  host.wait(1100)
  t.match(host.take(), [{ flags: SYN }])
})

t.test('TCP_FASTOPEN_NO_COOKIE: text and no option', async t => {
  const host = new Host()
  const c = open(host, 'hello', { fastOpenNoCookie: 1 })
  t.match(c.sent, [{ cookie: undefined }])
  t.same(strings(c.sent), ['hello'])
})

t.test('without TCP_FASTOPEN_CONNECT a SYN is as ever', async t => {
  const host = new Host()
  learned(host)
  const c = open(host, 'hello', { fastOpenConnect: 0 })
  t.match(c.sent, [{ cookie: undefined }])
  t.same(strings(c.sent), [''])
})

t.test('destinations: 1,024 are remembered, the oldest goes', async t => {
  const host = new Host()
  for (let i = 0; i < 1100; i++) learned(host, COOKIE, Address.v4(0x0b000000 + i))
  t.equal(host.tcp.fastOpen.size, 1024)
  t.same(strings(open(host, 'x', {}, Address.v4(0x0b000000)).sent), [''])
  t.same(strings(open(host, 'x', {}, Address.v4(0x0b000000 + 1099)).sent), ['x'])
})

t.test('simultaneous open with text in both SYNs', async t => {
  const host = new Host()
  learned(host)
  const c = open(host, 'hello')
  t.match(c.answer({ flags: SYN, cookie: COOKIE, text: 'there' }), [{ flags: SYN | ACK, ack: 8 }])
  t.same(strings(c.answer({ flags: ACK, seq: 8 })), ['hello'])
  t.equal(host.tcp.state(c.tcb), 'ESTABLISHED')
})

// ---- both

for (const loss of [0, 0.2])
  t.test(`two of us, ${loss * 100} % lost, seed 5: text in a SYN, answer, end`, async t => {
    const pair = new Pair({ seed: 5, loss, delay: 10 })
    pair.b.tcp.listen(THERE, 80, false, 1, { fastOpen: 10 })
    for (let i = 0; i < 30; i++) {
      const out = new Outbox()
      const inbox = new Inbox()
      out.write(`question ${i}`)
      const begun = pair.clock.now
      const tcb = pair.a.tcp.open(HERE, 0, THERE, 80, out, inbox, { fastOpenConnect: 1 }, begun)
      pair.a.user.boxes.set(tcb, { out, in: inbox })
      let asked = ''
      let told = ''
      let answered = false
      pair.run(() => {
        const end = pair.b.user.accepted[i]
        if (end && !answered) {
          asked += end.in.string
          if (asked === `question ${i}`) {
            answered = true
            end.out.write(`answer ${i}`)
            pair.b.tcp.send(end.tcb, pair.clock.now)
            pair.b.tcp.close(end.tcb, pair.clock.now)
          }
        }
        told += inbox.string
        return told === `answer ${i}`
      }, 300_000)
      t.equal(told, `answer ${i}`)
      if (loss === 0 && i > 0) t.ok(pair.clock.now - begun < 21, 'one round trip')
      pair.a.tcp.close(tcb, pair.clock.now)
    }
    pair.run(() => false, 300_000)
    t.equal(pair.a.tcp.size + pair.b.tcp.size, 0)
    t.equal(pair.b.tcp.fastOpen.pending, 0)
    t.ok(pair.b.tcp.counters.fastOpens >= (loss === 0 ? 29 : 1))
  })
