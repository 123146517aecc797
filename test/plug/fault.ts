import t from 'tap'

import { FaultPlug } from '../../src/plug/fault.ts'
import { NO_FAULT, type FaultDirection } from '../../src/plug/fault-parameters.ts'
import { CHECKSUM_UNKNOWN, CHECKSUM_VALID } from '../../src/stack/link/sink.ts'
import { Mac } from '../../src/wire/mac.ts'
import { Segmenter } from '../../src/wire/segment.ts'
import { Recorder, send, testFrame, TestPlug, type TestFrame } from '../helpers/plug.ts'
import { look, offloadFrame, type FrameShape } from '../helpers/wire-frame.ts'

function bench(
  out: Partial<FaultDirection>,
  inward: Partial<FaultDirection> = out,
  link: { mtu?: number; offload?: boolean } = {},
) {
  const inner = new TestPlug(link)
  const time = { now: 0 }
  const whole = (faults: Partial<FaultDirection>) => ({ ...NO_FAULT, queue: Infinity, ...faults })
  const parameters = { in: whole(inward), out: whole(out), seed: 1 }
  const plug = new FaultPlug(parameters, inner, () => time.now)
  const handler = new Recorder()
  return { inner, plug, handler, time, receive: (n = 100) => plug.receive(handler, n, time.now) }
}

function gso(shape: FrameShape, size = 1448): TestFrame {
  const { bytes, checksumStart, checksumOffset } = offloadFrame(shape)
  return testFrame(bytes, size, checksumStart, checksumOffset)
}

const plainFrame = (length = 60) => testFrame(new Uint8Array(length))

/** The wire frames of which a frame consists, each looked at. */
function pieces({ bytes, gsoSize, checksumStart, checksumOffset }: TestFrame, at = 0) {
  const segmenter = new Segmenter()
  if (!segmenter.start(bytes, 0, bytes.length, gsoSize, checksumStart, checksumOffset))
    throw new Error('cannot be cut')
  const out = new Uint8Array(70_000)
  return Array.from({ length: segmenter.count }, () => {
    const piece = look(out, 0, segmenter.next(out, 0), at)
    at += piece.text
    return piece
  })
}

t.test('frames are under way for the delay, both ways', async t => {
  const { inner, plug, handler, time, receive } = bench({ delay: 20 }, { delay: 10 })
  send(plug, plainFrame())
  inner.coming.push(plainFrame())
  t.equal(receive(), 0, 'nothing has arrived')
  t.equal(plug.next, 10)
  time.now = 10
  t.equal(receive(), 1)
  t.equal(handler.frames[0].checksum, CHECKSUM_UNKNOWN)
  t.equal(plug.next, 20)
  time.now = 19.9
  plug.flush()
  t.equal(inner.sink.sent.length, 0)
  time.now = 20
  plug.flush()
  t.equal(inner.sink.sent.length, 1)
  t.equal(plug.next, Infinity)
})

for (const v6 of [false, true])
  t.test(`a row of segments crosses as one, cut and joined again: IPv${v6 ? 6 : 4}`, async t => {
    const frame = gso({ v6, text: 10_000, flags: 0x98 })
    const { inner, plug, handler, time, receive } = bench({ delay: 1 })
    send(plug, frame)
    inner.coming.push(frame)
    receive()
    t.equal(plug.out.entered, 7, 'what the line saw')
    time.now = 1
    receive()
    t.same(inner.sink.sent, [frame], 'out')
    t.match(handler.frames, [{ ...frame, checksum: CHECKSUM_VALID }], 'in')
  })

t.test('what is lost of a row is lost by the segment', async t => {
  const { inner, plug, time } = bench({ loss: 0.3, delay: 1 })
  const frame = gso({ text: 60_000 })
  send(plug, frame)
  time.now = 1
  plug.flush()
  const { lost } = plug.out
  t.ok(lost > 3 && lost < 25, `${lost} of 42 lost`)
  let text = 0
  let expected = 0
  for (const sent of inner.sink.sent) {
    const { seq } = look(sent.bytes, 0, sent.bytes.length)
    const all = pieces(sent, seq - 1000)
    for (const piece of all) {
      t.same(piece.problems, [])
      text += piece.text
    }
    t.ok(seq >= 1000 + expected)
    expected = seq - 1000 + all.reduce((sum, piece) => sum + piece.text, 0)
  }
  t.ok(inner.sink.sent.length > 2, 'pieces between the losses')
  t.ok(Math.ceil((60_000 - text) / 1448) === lost, 'as much is missing as was lost')
})

t.test('a damaged segment goes alone, its checksum tells, and the rest is joined', async t => {
  const { inner, plug } = bench({ corrupt: 0.05 })
  const whole = gso({ text: 60_000 })
  send(plug, whole)
  plug.flush()
  const { damaged } = plug.out
  t.ok(damaged > 0 && damaged < 10, `${damaged} damaged`)
  const [joined, single] = [true, false].map(j =>
    inner.sink.sent.filter(frame => frame.gsoSize > 0 === j),
  )
  t.ok(joined.length > 0)
  const original = pieces(whole)
  const bad = single.filter(frame => {
    const { problems, length } = look(frame.bytes, 0, frame.bytes.length)
    return problems.length > 0 || !original.some(piece => piece.length === length)
  })
  t.ok(bad.length > 0 && bad.length <= damaged)
  for (const frame of single) t.equal(frame.checksumStart, 0, 'nobody will sum over the damage')
})

t.test('segments that overtake each other or come twice are not joined across that', async t => {
  const { inner, plug, time } = bench({ delay: 10, reorder: 0.3, dup: 0.2 })
  send(plug, gso({ text: 60_000 }))
  for (time.now = 0; time.now <= 10; time.now += 10) plug.flush()
  const seen = inner.sink.sent.flatMap(sent => {
    const { seq } = look(sent.bytes, 0, sent.bytes.length)
    return pieces(sent, seq - 1000)
  })
  for (const piece of seen) t.same(piece.problems, [])
  t.equal(seen.length, 42 + plug.out.duplicated)
  const order = seen.map(piece => piece.seq)
  t.not(order.join(), [...order].sort((a, b) => a - b).join())
})

t.test('a plug without offload gets frames of the wire', async t => {
  const { inner, plug } = bench({}, {}, { offload: false })
  send(plug, gso({ text: 4000 }))
  plug.flush()
  t.same(
    inner.sink.sent.map(({ gsoSize, checksumStart }) => [gsoSize, checksumStart]),
    [[0, 0], [0, 0], [0, 0]], // prettier-ignore
  )
})

t.test('rows of UDP datagrams are cut and stay cut', async t => {
  const { inner, plug } = bench({})
  send(plug, gso({ udp: true, text: 3000 }, 1000))
  plug.flush()
  t.equal(inner.sink.sent.length, 3)
  for (const { bytes, gsoSize } of inner.sink.sent) {
    t.equal(gsoSize, 0)
    t.notOk(look(bytes, 0, bytes.length).problems.includes('transport checksum'))
  }
})

t.test('a checksum left undone is done; a frame that lies is dropped', async t => {
  const { inner, plug } = bench({})
  send(plug, gso({ text: 100 }, 0))
  const lie = gso({ text: 3000 })
  send(plug, { ...lie, checksumStart: 20 })
  plug.flush()
  t.equal(inner.sink.sent.length, 1)
  t.same(look(inner.sink.sent[0].bytes, 0, inner.sink.sent[0].bytes.length).problems, [])
})

t.test('an inner plug without room: frames wait, and next does not drive the loop', async t => {
  const { inner, plug, time } = bench({ delay: 1 })
  inner.sink.room = 1
  for (let i = 0; i < 3; i++) send(plug, plainFrame())
  time.now = 1
  plug.flush()
  t.equal(inner.sink.sent.length, 1)
  t.equal(plug.next, Infinity)
  inner.sink.room = 5
  plug.flush()
  t.equal(inner.sink.sent.length, 3)
})

t.test('the sender’s interface makes open() wait, and next tells until when', async t => {
  const { plug, time } = bench({ speed: 480 })
  t.ok(send(plug, plainFrame()))
  t.notOk(send(plug, plainFrame()))
  t.equal(plug.next, 1)
  time.now = 1
  t.ok(send(plug, plainFrame()))
  t.equal(plug.out.lost + plug.out.queueFull, 0)
})

t.test('budget, notices, doorbells and the end are the inner plug’s', async t => {
  const { inner, plug, handler, receive } = bench({})
  inner.coming.push(new Mac(0x200, 5))
  for (let i = 0; i < 5; i++) inner.coming.push(plainFrame())
  t.equal(receive(2), 2)
  t.same(handler.gone, [new Mac(0x200, 5)])
  t.equal(receive(2), 2)
  t.equal(receive(2), 1)
  plug.flush()
  plug.arm()
  plug.wake()
  inner.next = 3
  t.equal(plug.next, 3)
  inner.broken = true
  t.ok(plug.broken)
  plug.close()
  t.match(inner, { flushed: 1, armed: 1, woken: 1, closed: 1 })
})

t.test('open() of more than a frame may have throws', async t => {
  t.throws(() => bench({}).plug.sink.open(65_550), RangeError)
})
