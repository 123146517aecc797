// The other thread of test/ring/frame-ring.ts: writes frames, sleeps when there is no room.
import { parentPort, workerData } from 'node:worker_threads'

import { FrameWriter } from '../../src/ring/frame-ring.ts'
import { random } from './random.ts'

const { memory, bells, size, count, seed } = workerData as {
  memory: SharedArrayBuffer
  bells: Int32Array
  size: number
  count: number
  seed: number
}
const writer = new FrameWriter(memory, 0, size, 1500)
const next = random(seed)
const byteAt = (frame: number, i: number) => (frame * 7 + i * 13 + (i >> 8)) & 0xff

parentPort?.postMessage('ready')
for (let frame = 0; frame < count; frame++) {
  const length = 14 + (next() % (next() % 16 === 0 ? 20_000 : 1500))
  let at = writer.open(length)
  while (at < 0) {
    ring()
    const bell = Atomics.load(bells, 1)
    if (writer.armRoom()) {
      // Nothing happens for so long only if a doorbell was lost.
      if (Atomics.wait(bells, 1, bell, 10_000) === 'timed-out') process.exit(1)
      writer.disarmRoom()
    }
    at = writer.open(length)
  }
  writer.bytes[at] = byteAt(frame, 0)
  writer.bytes[at + length - 1] = byteAt(frame, length - 1)
  writer.close(length, 0, 0, 0)
  if (frame % 7 === 0 || frame === count - 1) ring()
}

function ring() {
  if (!writer.mustRing()) return
  Atomics.add(bells, 0, 1)
  Atomics.notify(bells, 0)
}
