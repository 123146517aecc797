import { fstatSync } from 'node:fs'
import t, { type Test } from 'tap'

import * as libc from '../../src/ffi/libc.ts'
import { PortPlug, type PortNumbers } from '../../src/plug/port.ts'
import { MIN_RING } from '../../src/ring/frame-ring.ts'
import { Cable } from '../../src/switch/cable.ts'
import type { Mac } from '../../src/wire/mac.ts'

const MTU = 1500

/** A cable with a plug at one end; the other is driven by hand. */
function cable(t: Test) {
  const ours = Cable.make(MIN_RING, MTU)
  const control = libc.socketpair(libc.SOCK_STREAM)
  if (typeof ours === 'number' || typeof control === 'number') throw new Error('no descriptors')
  // SCM_RIGHTS would give the station descriptors of its own.
  const [memfd, doorbell] = ours.stationFds.splice(0)
  const numbers: PortNumbers = {
    memfd,
    doorbell,
    ringSize: MIN_RING,
    mtu: MTU,
    control: control[0],
  }
  const plug = new PortPlug(numbers)
  t.teardown(() => {
    ours.close()
    libc.close(control[1])
  })
  return { ours, plug, numbers, peer: control[1] }
}

function sender({ to }: Cable) {
  return (length: number, tag = 0) => {
    const at = to.open(length)
    if (at < 0) return false
    to.bytes.fill(tag, at, at + length)
    to.close(length, 0, 0, 0)
    return true
  }
}

/** Writes down what arrives. */
class Log {
  readonly lines: string[] = []
  frameArrives(
    bytes: Uint8Array,
    at: number,
    length: number,
    checksum: number,
    gsoSize: number,
  ): void {
    this.lines.push([length, bytes[at + length - 1], checksum, gsoSize].join(':'))
  }
  stationGone(mac: Mac): void {
    this.lines.push(`gone ${mac.high}:${mac.low}`)
  }
}

const readable = (fd: number) => (libc.poll(fd, libc.POLLIN, 0) & libc.POLLIN) !== 0

t.test('receive() hands over frames and notices, within its budget', async t => {
  const { ours, plug } = cable(t)
  const send = sender(ours)
  const log = new Log()
  for (let i = 1; i <= 3; i++) send(60, i)
  ours.to.notice(1, Uint8Array.of(2, 0, 0, 0, 0, 9))
  send(13)
  const at = ours.to.open(4000)
  ours.to.bytes.fill(0x80, at, at + 4000)
  ours.to.bytes[at + 12] = 8
  ours.to.close(4000, 1448, 34, 16)
  t.equal(plug.receive(log, 2, 0), 2)
  t.same(log.lines, ['60:1:0:0', '60:2:0:0'])
  t.equal(plug.receive(log, 100, 0), 4)
  t.same(log.lines.slice(2), ['60:3:0:0', 'gone 512:9', '4000:128:1:1448'])
  t.equal(plug.malformed, 1)
  t.equal(plug.receive(log, 100, 0), 0)
})

t.test('arm() and wake(): the doorbell rings once per sleep', async t => {
  const { ours, plug } = cable(t)
  const send = sender(ours)
  const ring = () => {
    if (ours.to.mustRing()) ours.ring()
  }
  t.ok(plug.arm())
  t.notOk(readable(plug.fd))
  for (let i = 0; i < 3; i++) {
    send(60)
    ring()
  }
  t.ok(readable(plug.fd))
  plug.wake()
  t.notOk(readable(plug.fd), 'one byte for three frames')
  t.notOk(plug.arm(), 'frames wait')
  t.equal(plug.receive(new Log(), 100, 0), 3)
  t.ok(plug.arm())
})

t.test('frames sent wake a switch that sleeps: by flush(), receive() and arm()', async t => {
  const { ours, plug } = cable(t)
  for (const act of [() => plug.flush(), () => plug.receive(new Log(), 1, 0), () => plug.arm()]) {
    ours.from.next()
    ours.from.release()
    ours.from.commit()
    t.ok(ours.from.arm())
    plug.sink.open(60)
    plug.sink.close(60, 0, 0, 0)
    t.notOk(readable(ours.doorbell))
    act()
    t.ok(readable(ours.doorbell))
    ours.answer()
    t.notOk(readable(ours.doorbell))
    ours.from.disarm()
  }
})

t.test('room: arm() asks for it, the switch rings, open() finds it', async t => {
  const { ours, plug } = cable(t)
  while (plug.sink.open(1514) >= 0) plug.sink.close(1514, 0, 0, 0)
  t.ok(plug.arm())
  while (ours.from.next() === 1) ours.from.release()
  ours.from.commit()
  t.ok(ours.from.mustRingWriter())
  ours.ring()
  t.ok(readable(plug.fd))
  plug.wake()
  t.ok(plug.sink.open(1514) >= 0)
  t.ok(plug.arm(), 'nothing is wanted any more')
})

t.test('a frame at which the stack fails is not read again', async t => {
  const { ours, plug, numbers } = cable(t)
  const send = sender(ours)
  send(60, 1)
  send(60, 2)
  const failing = {
    frameArrives() {
      throw new Error('the stack failed')
    },
    stationGone() {},
  }
  t.throws(() => plug.receive(failing, 10, 0), /the stack failed/)
  const log = new Log()
  const successor = new PortPlug(numbers)
  t.equal(successor.receive(log, 10, 0), 1)
  t.same(log.lines, ['60:2:0:0'])
})

t.test('a doorbell that nobody answers never blocks', async t => {
  const { ours, plug } = cable(t)
  libc.fcntl(plug.fd, libc.F_SETFL, 0)
  for (let i = 0; i < 2000; i++) ours.ring()
  t.pass('the switch went on')
  for (let i = 0; i < 100; i++) {
    t.ok(plug.arm())
    plug.wake()
  }
  t.notOk(readable(plug.fd))
  t.ok(plug.arm())
  plug.wake()
  t.pass('nothing to take')
})

t.test('memory that could shrink, or is too small, is refused', async t => {
  const { numbers } = cable(t)
  const memfd = libc.memfdCreate('test', 3)
  libc.ftruncate(memfd, fstatSync(numbers.memfd).size)
  t.throws(() => new PortPlug({ ...numbers, memfd }), /not sealed/)
  libc.close(memfd)
  t.throws(() => new PortPlug({ ...numbers, ringSize: 2 * MIN_RING }), /wrong size/)
  t.throws(() => new PortPlug({ ...numbers, ringSize: MIN_RING - 4096 }), /wrong size/)
  t.throws(() => new PortPlug({ ...numbers, ringSize: 0xffffffff }), /wrong size/)
  t.throws(() => new PortPlug({ ...numbers, memfd: numbers.doorbell }), /not sealed/)
})

t.test('close(): the other end sees it, a late write hits memory', async t => {
  const { plug, peer } = cable(t)
  plug.close()
  t.ok(libc.poll(peer, libc.POLLRDHUP, 0) & libc.POLLRDHUP)
  const at = plug.sink.open(60)
  plug.sink.bytes[at] = 1
  plug.sink.close(60, 0, 0, 0)
  t.pass('no fault')
})
