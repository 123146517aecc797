// What the switch moves between two ports, and what a frame costs it. Stations and switch take turns in one thread: the
// figures are the switch's own time on one core, copying included. Then the same with a switch in its own process: the
// round trip of one small frame, doorbells included.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import * as libc from '../src/ffi/libc.ts'
import { parseNetwork } from '../src/plug/network.ts'
import { PortPlug } from '../src/plug/port.ts'
import { FrameReader, FrameWriter, RING_FRAME } from '../src/ring/frame-ring.ts'
import { Cable } from '../src/switch/cable.ts'
import { SwitchPort } from '../src/switch/port.ts'
import { joinNetwork } from '../src/switch/start.ts'
import { Switch } from '../src/switch/switch.ts'
import { Mac } from '../src/wire/mac.ts'

const MTU = 1500
const RING = 2 << 20

interface Station {
  port: SwitchPort
  sink: FrameWriter
  reader: FrameReader
  mac: Mac
}

function station(n: number): Station {
  const cable = Cable.make(RING, MTU)
  if (typeof cable === 'number') throw new Error(`errno ${-cable}`)
  const { buffer } = cable.from.bytes
  const mac = new Mac(0x0200, n)
  const port = new SwitchPort(
    { mac, pid: process.pid, command: 'bench' },
    cable.from,
    cable.to,
    () => {},
  )
  return {
    port,
    mac,
    sink: new FrameWriter(buffer, 0, RING, MTU),
    reader: new FrameReader(buffer, cable.to.bytes.byteOffset - cable.from.bytes.byteOffset, RING),
  }
}

function send({ sink }: Station, from: Mac, to: Mac, length: number): boolean {
  const at = sink.open(length)
  if (at < 0) return false
  to.write(sink.bytes, at)
  from.write(sink.bytes, at + 6)
  sink.bytes[at + 12] = 8
  sink.bytes[at + 13] = 0
  sink.bytes[at + 23] = 6
  sink.bytes[at + 46] = 0x80
  if (length > MTU + 14) sink.close(length, MTU - 52, 34, 16)
  else sink.close(length, 0, 34, 16)
  return true
}

function drain({ reader }: Station): number {
  let n = 0
  for (; reader.next() === RING_FRAME; n++) reader.release()
  reader.commit()
  return n
}

/** `frames` frames from one to the other, `batch` at a time. */
function forward(length: number, frames: number, batch: number): string {
  const bridge = new Switch(MTU)
  const [a, b] = [station(1), station(2)]
  bridge.add(a.port)
  bridge.add(b.port)
  let spent = 0
  let arrived = 0
  for (let sent = 0; sent < frames;) {
    for (let i = 0; i < batch && send(a, a.mac, b.mac, length); i++) sent++
    const t = performance.now()
    while (bridge.turn(0) > 0);
    spent += performance.now() - t
    arrived += drain(b)
  }
  const us = (spent * 1000) / arrived
  const lost = b.port.overrun
  return `${length} bytes: ${us.toFixed(2)} µs a frame, ${(length / us / 1000).toFixed(1)} GB/s (${arrived} frames, ${lost} lost)`
}

for (const [length, frames, batch] of [
  [60, 1_000_000, 64],
  [1514, 1_000_000, 64],
  [16_384, 200_000, 16],
  [65_549, 60_000, 4],
  [65_549, 60_000, 16],
] as const) {
  forward(length, frames / 10, batch)
  console.log(`${forward(length, frames, batch)}, ${batch} at a time`)
}

await roundTrips()

async function roundTrips(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'ioth-bench-'))
  process.env.IOTH_SWITCH_LINGER = '50'
  const network = parseNetwork(`${directory}/`, () => directory)
  const join_ = async (n: number) => {
    const hello = { mac: new Mac(0x0200, n), addresses: [], pid: process.pid, command: 'bench' }
    return new PortPlug(await joinNetwork(network, hello))
  }
  const [a, b] = [await join_(1), await join_(2)]
  const [macA, macB] = [new Mac(0x0200, 1), new Mac(0x0200, 2)]
  const nobody = { frameArrives() {}, stationGone() {} }
  const pass = (from: PortPlug, to: PortPlug, m: Mac, n: Mac) => {
    send({ sink: from.sink } as Station, m, n, 60)
    from.flush()
    while (to.receive(nobody, 1, 0) === 0) {
      if (to.arm()) libc.poll(to.fd, libc.POLLIN, 1000)
      to.wake()
    }
  }
  const n = 20_000
  for (const kind of ['warm-up', 'measured']) {
    const t = performance.now()
    for (let i = 0; i < n; i++) {
      pass(a, b, macA, macB)
      pass(b, a, macB, macA)
    }
    const us = ((performance.now() - t) * 1000) / n
    if (kind === 'measured') console.log(`round trip through a switch process: ${us.toFixed(1)} µs`)
  }
  a.close()
  b.close()
  setTimeout(() => rmSync(directory, { recursive: true, force: true }), 200)
}
