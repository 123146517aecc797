import { once } from 'node:events'
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import t from 'tap'

import {
  FRAME_RING_DATA,
  FrameReader,
  frameRingBytes,
  FrameWriter,
  MAX_FRAME,
  MIN_RING,
  NOTICE_STATION_GONE,
  RING_BROKEN,
  RING_EMPTY,
  RING_FRAME,
  RING_NOTICE,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_ECN,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
  VIRTIO_NET_HDR_GSO_UDP_L4,
} from '../../src/ring/frame-ring.ts'
import { random } from '../helpers/random.ts'

const MTU = 1500
const SIZE = MIN_RING
const TAIL = 0
const HEAD = 16
const SEEDS = [1, 2, 3]

/** A ring whose counters stand at `at`. */
function ring(at = 0, memory = new ArrayBuffer(frameRingBytes(SIZE))) {
  const words = new Int32Array(memory)
  words[TAIL] = at
  words[HEAD] = at
  const writer = new FrameWriter(memory, 0, SIZE, MTU)
  const reader = new FrameReader(memory, 0, SIZE)
  return { memory, words, writer, reader, slots: words.subarray(FRAME_RING_DATA / 4) }
}

/** Byte i of frame `seed`. */
const byteAt = (seed: number, i: number) => (seed * 7 + i * 13 + (i >> 8)) & 0xff

function write(writer: FrameWriter, length: number, seed: number): boolean {
  const at = writer.open(length)
  if (at < 0) return false
  for (let i = 0; i < length; i++) writer.bytes[at + i] = byteAt(seed, i)
  writer.close(length, 0, 0, 0)
  return true
}

/** Is the frame that the reader stands at frame `seed`? */
function same(reader: FrameReader, length: number, seed: number): boolean {
  if (reader.length !== length) return false
  for (let i = 0; i < length; i++) if (reader.bytes[reader.at + i] !== byteAt(seed, i)) return false
  return true
}

t.test('frames of every kind of length cross the end at every alignment', async t => {
  const memory = new ArrayBuffer(frameRingBytes(SIZE))
  let wrong = 0
  let positions = 0
  const lengths = [12, 14, 60, 63, 64, 65, 1514, 319, 320, 321]
  const largest = MAX_FRAME + 48
  for (let at = 0; at < SIZE; at += 16) {
    const nearEnd = SIZE - at < 2200
    const large = SIZE - at < largest && at % 1024 === 0
    if (!nearEnd && !large && at > 512) continue
    positions++
    const { writer, reader } = ring(at, memory)
    const row = large ? [MAX_FRAME, 60, MAX_FRAME] : lengths
    row.forEach((length, i) => {
      if (!write(writer, length, at + i)) wrong++
    })
    row.forEach((length, i) => {
      if (reader.next() !== RING_FRAME || !same(reader, length, at + i)) wrong++
      reader.release()
    })
    if (reader.next() !== RING_EMPTY) wrong++
  }
  t.equal(wrong, 0)
  t.ok(positions > 200, `${positions} positions`)
})

t.test('counters run over 2^32', async t => {
  const { writer, reader } = ring(-64)
  for (let i = 0; i < 100; i++) {
    t.ok(write(writer, 60 + i, i))
    t.equal(reader.next(), RING_FRAME)
    t.ok(same(reader, 60 + i, i))
    reader.release()
    reader.commit()
  }
})

t.test('a full ring: open() gives -1, loses nothing, goes on when there is room', async t => {
  const { writer, reader } = ring(SIZE - 1040)
  let sent = 0
  while (write(writer, 1514, sent)) sent++
  t.equal(writer.open(1514), -1)
  t.ok(sent > SIZE / 1536 - 8 && sent < SIZE / 1536, `${sent} frames`)
  for (let i = 0; i < 10; i++) {
    t.equal(reader.next(), RING_FRAME)
    t.ok(same(reader, 1514, i))
    reader.release()
  }
  t.equal(writer.open(1514), -1, 'released is not committed')
  reader.commit()
  t.ok(write(writer, 1514, sent++))
  let read = 10
  for (; reader.next() === RING_FRAME; read++) {
    if (!same(reader, 1514, read)) t.fail(`frame ${read}`)
    reader.release()
  }
  t.equal(read, sent)
  t.throws(() => writer.open(MAX_FRAME + 1), RangeError)
})

t.test('notices fit into a ring that is full of frames', async t => {
  const { writer, reader } = ring()
  while (write(writer, 60, 0));
  const mac = Uint8Array.of(2, 0, 0, 0, 0, 9)
  let notices = 0
  while (writer.notice(NOTICE_STATION_GONE, mac)) notices++
  t.ok(notices >= 100, `${notices} notices`)
  t.notOk(reader.broken)
  let read = 0
  for (;;) {
    const found = reader.next()
    if (found === RING_EMPTY) break
    if (found === RING_NOTICE) {
      read++
      t.equal(reader.noticeType, NOTICE_STATION_GONE)
      t.same(reader.bytes.slice(reader.at, reader.at + reader.length), mac)
    }
    reader.release()
  }
  t.equal(read, notices)
})

t.test('FrameWriter.close() describes checksum and segments as virtio does', async t => {
  const ipv4 = (protocol: number) => (b: Uint8Array, at: number) => {
    b.set([8, 0], at + 12)
    b[at + 23] = protocol
    b[at + 34 + 12] = 0x80
  }
  const ipv6 = (b: Uint8Array, at: number) => {
    b.set([0x86, 0xdd], at + 12)
    b[at + 20] = 6
    b[at + 54 + 12] = 0x50
  }
  const needs = VIRTIO_NET_HDR_F_NEEDS_CSUM
  for (const [name, build, close, want] of [
    ['no offload', ipv4(6), [60, 0, 0, 0], [0, VIRTIO_NET_HDR_GSO_NONE, 0, 0, 0, 0]],
    ['checksum', ipv4(6), [60, 0, 34, 16], [needs, VIRTIO_NET_HDR_GSO_NONE, 0, 0, 34, 16]],
    [
      'TCP, IPv4',
      ipv4(6),
      [9000, 1448, 34, 16],
      [needs, VIRTIO_NET_HDR_GSO_TCPV4, 66, 1448, 34, 16],
    ],
    [
      'UDP, IPv4',
      ipv4(17),
      [9000, 1472, 34, 6],
      [needs, VIRTIO_NET_HDR_GSO_UDP_L4, 42, 1472, 34, 6],
    ],
    ['TCP, IPv6', ipv6, [9000, 1440, 54, 16], [needs, VIRTIO_NET_HDR_GSO_TCPV6, 74, 1440, 54, 16]],
  ] as const) {
    const { writer, reader } = ring()
    const at = writer.open(9000)
    build(writer.bytes, at)
    const [length, size, start, offset] = close
    writer.close(length, size, start, offset)
    t.equal(reader.next(), RING_FRAME)
    const { flags, gsoType, headerLength, gsoSize, checksumStart, checksumOffset } = reader
    t.same([flags, gsoType, headerLength, gsoSize, checksumStart, checksumOffset], want, name)
    t.notOk(reader.malformed(MTU), name)
  }
})

t.test('FrameReader.malformed()', async t => {
  const needs = VIRTIO_NET_HDR_F_NEEDS_CSUM
  const [v4, ecn] = [VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_ECN]
  //    what                              length flags gso   hdr gsoSize start offset
  for (const [name, length, flags, gso, header, gsoSize, start, offset, want] of [
    ['an Ethernet header', 14, 0, 0, 0, 0, 0, 0, false],
    ['a byte less', 13, 0, 0, 0, 0, 0, 0, true],
    ['nothing', 0, 0, 0, 0, 0, 0, 0, true],
    ['as long as the mtu allows, with a VLAN tag', 1518, 0, 0, 0, 0, 0, 0, false],
    ['longer, no segments', 1519, 0, 0, 0, 0, 0, 0, true],
    ['longer, segments', 1519, needs, v4, 66, 1448, 34, 16, false],
    ['… with the ECN bit', 1519, needs, v4 | ecn, 66, 1448, 34, 16, false],
    ['… of size 0', 1519, needs, v4, 66, 0, 34, 16, true],
    ['… larger than the mtu', 9000, needs, v4, 66, 1501, 34, 16, true],
    ['… without a checksum to make', 1519, 0, v4, 66, 1448, 34, 16, true],
    ['… of an unknown kind', 1519, needs, 2, 66, 1448, 34, 16, true],
    ['… of UFO, which nobody sends any more', 1519, needs, 3, 66, 1448, 34, 16, true],
    ['a segment size without segments', 60, 0, 0, 0, 100, 0, 0, true],
    ['a header longer than the frame', 60, 0, 0, 61, 0, 0, 0, true],
    ['the checksum is the last two bytes', 60, needs, 0, 0, 0, 42, 16, false],
    ['the checksum ends outside', 60, needs, 0, 0, 0, 43, 16, true],
    ['the checksum starts past the end', 60, needs, 0, 0, 0, 60, 0, true],
    ['start and offset overflow 16 bits', 60, needs, 0, 0, 0, 65535, 65535, true],
    ['the checksum starts in the Ethernet header', 60, needs, 0, 0, 0, 13, 16, true],
  ] as const) {
    const { writer, reader, slots } = ring()
    writer.open(length)
    writer.close(length, 0, 0, 0)
    slots[1] = flags | (gso << 8) | (header << 16)
    slots[2] = gsoSize | (start << 16)
    slots[3] = offset
    t.equal(reader.next(), RING_FRAME)
    t.equal(reader.malformed(MTU), want, name)
  }
})

t.test('FrameWriter.forward() uses header and addresses as they were checked', async t => {
  for (const length of [60, 320, 321, 1514, MAX_FRAME]) {
    const a = ring()
    const b = ring(SIZE - 512)
    write(a.writer, length, 5)
    t.equal(a.reader.next(), RING_FRAME)
    // The sender changes its mind after the look.
    a.slots[1] = -1
    a.slots[2] = -1
    a.slots[3] = -1
    for (let i = 0; i < 12; i++) a.reader.bytes[a.reader.at + i] = 0xee
    a.slots[0] = 20
    t.ok(b.writer.forward(a.reader))
    t.equal(b.reader.next(), RING_FRAME)
    t.ok(same(b.reader, length, 5), `${length} bytes`)
    t.equal(b.reader.flags | b.reader.gsoType | b.reader.gsoSize | b.reader.checksumStart, 0)
  }
  const full = ring()
  while (write(full.writer, 1514, 0));
  const a = ring()
  write(a.writer, 1514, 1)
  a.reader.next()
  t.notOk(full.writer.forward(a.reader))
})

t.test('asleep: one doorbell per sleep, none while awake', async t => {
  const { writer, reader } = ring()
  t.notOk(writer.mustRing(), 'nothing was ever sent')
  write(writer, 60, 0)
  t.notOk(writer.mustRing(), 'the reader is awake')
  t.notOk(reader.arm(), 'a frame waits')
  reader.next()
  reader.release()
  reader.commit()
  t.ok(reader.arm())
  t.notOk(writer.mustRing(), 'nothing was sent since')
  write(writer, 60, 1)
  write(writer, 60, 2)
  t.ok(writer.mustRing())
  write(writer, 60, 3)
  t.notOk(writer.mustRing(), 'rung already')
  reader.disarm()
  t.notOk(reader.arm())
  write(writer, 60, 4)
  t.notOk(writer.mustRing(), 'arm() that failed leaves the reader awake')
})

t.test('starved: a doorbell when half of the ring is free, if the writer sleeps', async t => {
  const { writer, reader } = ring()
  t.ok(writer.armRoom(), 'nothing was refused: nothing to wait for')
  const take = (n: number) => {
    for (let i = 0; i < n; i++) {
      if (reader.next() !== RING_FRAME) t.fail('no frame')
      reader.release()
    }
    reader.commit()
  }
  let sent = 0
  while (write(writer, 1514, sent)) sent++
  t.notOk(reader.mustRingWriter(), 'the writer is awake')
  t.ok(writer.armRoom())
  take(10)
  t.notOk(reader.mustRingWriter(), 'not yet half of it')
  t.notOk(writer.armRoom(), 'the writer need not sleep')
  while (write(writer, 1514, sent)) sent++
  t.ok(writer.armRoom())
  take(sent >> 1)
  take(12)
  t.ok(reader.mustRingWriter())
  t.notOk(reader.mustRingWriter(), 'once')
  writer.disarmRoom()
  t.ok(write(writer, 1514, 0))
})

t.test('a reader and a writer take up where others left', async t => {
  const first = ring(SIZE - 800)
  for (let i = 0; i < 5; i++) write(first.writer, 300, i)
  first.writer.open(300) // and dies before close()
  first.reader.next()
  first.reader.release()
  first.reader.commit()
  first.reader.next() // and dies before release()
  const writer = new FrameWriter(first.memory, 0, SIZE, MTU)
  const reader = new FrameReader(first.memory, 0, SIZE)
  write(writer, 300, 5)
  for (let i = 1; i < 6; i++) {
    t.equal(reader.next(), RING_FRAME)
    t.ok(same(reader, 300, i))
    reader.release()
  }
  t.equal(reader.next(), RING_EMPTY)
})

t.test('a writer that lies breaks the ring and nothing else', async t => {
  for (const [name, spoil] of [
    ['tail further than the ring is long', w => (w[TAIL] = SIZE + 16)],
    ['tail before head', w => (w[TAIL] = -16)],
    ['tail between slots', w => (w[TAIL] = 24)],
    ['a slot longer than what is published', (w, s) => ((w[TAIL] = 32), (s[0] = 100))],
    ['a frame longer than any', (w, s) => ((w[TAIL] = SIZE), (s[0] = MAX_FRAME + 1))],
    ['a length of 16 million', (w, s) => ((w[TAIL] = SIZE), (s[0] = 0xffffff))],
    ['an unknown kind', (w, s) => ((w[TAIL] = 64), (s[0] = (9 << 24) | 20))],
    ['a skip that is not to the end', (w, s) => ((w[TAIL] = 64), (s[0] = (1 << 24) | 16))],
    ['a skip with nothing behind it', (w, s) => ((w[TAIL] = SIZE), (s[0] = (1 << 24) | SIZE))],
  ] as [string, (words: Int32Array, slots: Int32Array) => void][]) {
    const { words, slots, reader } = ring()
    spoil(words, slots)
    t.equal(reader.next(), RING_BROKEN, name)
    t.ok(reader.broken)
    t.equal(reader.next(), RING_BROKEN, `${name}: stays broken`)
    t.ok(reader.arm(), 'and lets its owner sleep')
  }
  const { words, slots, reader } = ring(SIZE - 32)
  words[TAIL] = SIZE + 64
  slots[(SIZE - 32) / 4] = (1 << 24) | 32
  slots[0] = (1 << 24) | SIZE
  t.equal(reader.next(), RING_BROKEN, 'two skips')
})

t.test('a frame may not cross the end', async t => {
  const { words, slots, reader } = ring(SIZE - 64)
  words[TAIL] = SIZE + 64
  slots[(SIZE - 64) / 4] = 100
  t.equal(reader.next(), RING_BROKEN)
})

t.test('a reader that lies breaks the ring, and the writer writes no more', async t => {
  for (const head of [-16 - SIZE, 8, 0x40000000]) {
    const { words, writer } = ring()
    words[HEAD] = head
    let sent = 0
    while (write(writer, 1514, sent)) sent++
    t.ok(writer.broken, `head ${head}`)
    t.ok(sent <= SIZE / 1536, `${sent} frames`)
    t.equal(writer.open(60), -1)
    t.notOk(writer.notice(1, new Uint8Array(6)))
    t.ok(writer.armRoom(), 'and lets its owner sleep')
  }
})

for (const seed of SEEDS)
  t.test(
    `seed ${seed}: whatever a writer scribbles, a reader stays within the ring and ends`,
    async t => {
      const next = random(seed)
      const { words, slots, memory } = ring()
      for (let round = 0; round < 400; round++) {
        const head = (next() & -16) | 0
        words[HEAD] = head
        words[TAIL] = (head + (round % 3 === 0 ? next() : next() & (SIZE - 16))) | 0
        for (let i = 0; i < 600; i++) {
          const at = i < 300 ? ((head & (SIZE - 1)) >>> 2) + i * 4 : next() & (SIZE / 4 - 1)
          slots[at & (SIZE / 4 - 1)] =
            ((next() & 3) << 24) | (next() & (round & 1 ? 0x1ffff : 0xff))
        }
        const reader = new FrameReader(memory, 0, SIZE)
        let found = reader.next()
        let taken = 0
        for (; found === RING_FRAME || found === RING_NOTICE; found = reader.next()) {
          if (reader.at < 16 || reader.at + reader.length > SIZE || reader.length > MAX_FRAME)
            t.fail(`round ${round}: ${reader.length} bytes at ${reader.at}`)
          if (next() % 50 === 0) words[TAIL] = next() | 0
          reader.release()
          if ((taken += 16) > SIZE) throw new Error(`round ${round}: more slots than fit`)
        }
        if (found === RING_BROKEN && !reader.broken) t.fail('broken without saying so')
      }
      t.pass('stayed within')
    },
  )

t.test(
  'two threads, frames of all lengths, sleeping and waking: each byte arrives, in order',
  async t => {
    const memory = new SharedArrayBuffer(frameRingBytes(SIZE))
    const bells = new Int32Array(new SharedArrayBuffer(8))
    const COUNT = 40_000
    const extension = extname(import.meta.url)
    const writer = new URL(`../helpers/frame-writer${extension}`, import.meta.url)
    const worker = new Worker(writer, {
      workerData: { memory, bells, size: SIZE, count: COUNT, seed: 4 },
    })
    const ended = new Promise<number>((resolve, reject) => {
      worker.once('exit', resolve)
      worker.once('error', reject)
    })
    const reader = new FrameReader(memory, 0, SIZE)
    const next = random(4)
    let wrong = 0
    let sleeps = 0
    let read = 0
    await once(worker, 'message')
    while (read < COUNT) {
      let taken = 0
      while (reader.next() === RING_FRAME) {
        const length = 14 + (next() % (next() % 16 === 0 ? 20_000 : 1500))
        const ok =
          reader.length === length &&
          reader.bytes[reader.at] === byteAt(read, 0) &&
          reader.bytes[reader.at + length - 1] === byteAt(read, length - 1)
        if (!ok) wrong++
        reader.release()
        read++
        if (++taken === 20) break
      }
      reader.commit()
      if (reader.mustRingWriter()) ring1()
      if (taken > 0) continue
      const bell = Atomics.load(bells, 0)
      if (!reader.arm()) continue
      sleeps++
      // Nothing happens for so long only if a doorbell was lost.
      if (Atomics.wait(bells, 0, bell, 10_000) === 'timed-out') break
      reader.disarm()
    }
    t.equal(read, COUNT)
    t.equal(wrong, 0)
    t.comment(`${sleeps} sleeps`)
    t.equal(await ended, 0)

    function ring1() {
      Atomics.add(bells, 1, 1)
      Atomics.notify(bells, 1)
    }
  },
)
