import { closeSync, readFileSync } from 'node:fs'
import t, { type Test } from 'tap'

import { PcapFile, PcapPlug } from '../../src/plug/pcap.ts'
import { parseVnl } from '../../src/plug/vnl.ts'
import { Mac } from '../../src/wire/mac.ts'
import { Recorder, send, testFrame, TestPlug } from '../helpers/plug.ts'
import { look, offloadFrame } from '../helpers/wire-frame.ts'

function bench(t: Test, options = '') {
  const path = `${t.testdir()}/x.pcap`
  const numbers = new PcapFile(parseVnl(`pcap://${path}${options}{null://}`)).open()
  t.teardown(() => closeSync(numbers.fd))
  const inner = new TestPlug()
  return { path, numbers, inner, plug: new PcapPlug(numbers, inner) }
}

/** The frames in the file: bytes, and the length they had. */
function frames(path: string) {
  const file = readFileSync(path)
  const found: { time: number; bytes: Uint8Array; length: number }[] = []
  for (let at = 24; at < file.length;) {
    const [seconds, nanoseconds, captured, length] = [0, 4, 8, 12].map(i =>
      file.readUInt32LE(at + i),
    )
    found.push({ time: seconds! * 1000 + nanoseconds! / 1e6, bytes: file.subarray(at + 16, at + 16 + captured!), length: length! }) // prettier-ignore
    at += 16 + captured!
  }
  return found
}

t.test('both directions are written as the wire has them, and pass as they are', async t => {
  const { path, inner, plug } = bench(t)
  const { bytes, checksumStart, checksumOffset } = offloadFrame({ text: 3000 })
  const row = testFrame(bytes, 1448, checksumStart, checksumOffset)
  const small = testFrame(new Uint8Array(60).fill(7))
  const handler = new Recorder()
  send(plug, row)
  inner.coming.push(row, small, new Mac(0x200, 1))
  t.equal(plug.receive(handler, 10, 0), 3)
  t.same(inner.sink.sent, [row])
  t.match(handler.frames, [row, small])
  t.same(handler.gone, [new Mac(0x200, 1)])
  t.equal(frames(path).length, 0, 'nothing is written while there is work')
  plug.arm()
  const found = frames(path)
  t.same(
    found.map(({ length }) => length),
    [1514, 1514, 170, 1514, 1514, 170, 60],
  )
  found
    .slice(0, 3)
    .forEach(({ bytes: b }, i) => t.same(look(b, 0, b.length, 1448 * i).problems, []))
  t.same(found[6].bytes, Buffer.from(small.bytes))
  t.ok(Math.abs(found[0].time - Date.now()) < 10_000)
})

t.test('snap: only the head of a frame is written', async t => {
  const { path, plug } = bench(t, '[snap=20]')
  send(plug, testFrame(new Uint8Array(60).fill(7)))
  send(plug, testFrame(new Uint8Array(14).fill(7)))
  plug.close()
  t.same(
    frames(path).map(({ bytes, length }) => [bytes.length, length]),
    [[20, 60], [14, 14]], // prettier-ignore
  )
})

t.test('a frame that lies about itself is written as it is', async t => {
  const { path, plug } = bench(t)
  const { bytes } = offloadFrame({ text: 3000 })
  send(plug, testFrame(bytes, 1448, 20, 16))
  plug.arm()
  t.same(frames(path)[0].bytes, Buffer.from(bytes))
})

t.test('more than the buffer holds is written before it sleeps', async t => {
  const { path, plug } = bench(t)
  for (let i = 0; i < 400; i++) send(plug, testFrame(new Uint8Array(1514).fill(i)))
  t.ok(frames(path).length > 300)
  plug.close()
  t.same(
    frames(path).map(({ bytes }) => bytes[1513]),
    Array.from({ length: 400 }, (_, i) => i & 0xff),
  )
})

t.test('a file that cannot be written any more ends the capture, not the plug', async t => {
  const { inner } = bench(t)
  const plug = new PcapPlug({ fd: 1_000_000, snap: 65_535 }, inner)
  send(plug, testFrame(new Uint8Array(60)))
  plug.arm()
  t.equal(plug.capture.failed, 9, 'EBADF')
  send(plug, testFrame(new Uint8Array(60)))
  t.equal(inner.sink.sent.length, 2)
  t.equal(plug.capture.frames, 1)
})

t.test('doorbells and the end are the inner plug’s', async t => {
  const { inner, plug } = bench(t)
  inner.next = 5
  inner.sendsUdpSegments = true
  plug.flush()
  plug.arm()
  plug.wake()
  plug.askUdpSegments()
  t.equal(plug.next, 5)
  t.notOk(plug.broken)
  inner.broken = true
  t.ok(plug.broken)
  plug.close()
  t.match(inner, { flushed: 1, armed: 1, woken: 1, asked: 1, closed: 1 })
})
