// Two Tcps on a wire that loses, doubles, delays and damages what a seed says, in virtual time; and one Tcp alone, whose
// segments a test reads and answers by hand.
import { u32, writeU16, writeU32 } from '../../src/base/bytes.ts'
import { Address } from '../../src/wire/address.ts'
import { ACK, CWR, FIN, PSH, SYN } from '../../src/wire/tcp.ts'
import type { Path } from '../../src/stack/net/path.ts'
import type { ReceiveBuffer, SendBuffer } from '../../src/stack/transport/tcp/buffers.ts'
import { TCB_BYTES } from '../../src/stack/transport/tcp/layout.ts'
import type { TcpSettings } from '../../src/stack/transport/tcp/options.ts'
import { Tcp } from '../../src/stack/transport/tcp/tcp.ts'
import type { TcpTuning } from '../../src/stack/transport/tcp/tuning.ts'
import type { TcpUser } from '../../src/stack/transport/tcp/user.ts'
import { Clock, random, randomBytes } from './clock.ts'
import { type Fields, FakePacket, type Sent, build, checksumOf, read } from './segment.ts'

export const HERE = Address.v4(0x0a000001)
export const THERE = Address.v4(0x0a000002)

/** What the program has written: an array that shrinks from the front. */
export class Outbox implements SendBuffer {
  private bytes: Uint8Array = new Uint8Array(1024)
  private from = 0
  private to = 0
  consumed = 0

  get length(): number {
    return this.to - this.from
  }
  write(more: Uint8Array | string): void {
    const add = typeof more === 'string' ? Buffer.from(more, 'latin1') : more
    if (this.to + add.length > this.bytes.length) {
      const kept = this.bytes.slice(this.from, this.to)
      this.bytes = new Uint8Array(2 * (kept.length + add.length))
      this.bytes.set(kept)
      this.to = kept.length
      this.from = 0
    }
    this.bytes.set(add, this.to)
    this.to += add.length
  }
  copy(offset: number, n: number, dst: Uint8Array, at: number): void {
    if (offset < 0 || offset + n > this.length) throw new RangeError(`copy(${offset}, ${n})`)
    dst.set(this.bytes.subarray(this.from + offset, this.from + offset + n), at)
  }
  consume(n: number): void {
    if (n > this.length) throw new RangeError(`consume(${n}) of ${this.length}`)
    this.from += n
    this.consumed += n
  }
}

/** What the program can read: a ring. */
export class Inbox implements ReceiveBuffer {
  private ring: Uint8Array
  private head = 0
  tail = 0

  constructor(size = 65536) {
    this.ring = new Uint8Array(size)
  }
  get size(): number {
    return this.ring.length
  }
  get used(): number {
    return this.tail - this.head
  }
  get window(): number {
    return this.size - this.used
  }
  writeAt(offset: number, src: Uint8Array, from: number, n: number): void {
    if (offset < 0 || n < 0 || offset + n > this.window)
      throw new RangeError(`writeAt(${offset}, ${n}) in a window of ${this.window}`)
    const at = (this.tail + offset) % this.size
    const first = Math.min(n, this.size - at)
    this.ring.set(src.subarray(from, from + first), at)
    this.ring.set(src.subarray(from + first, from + n), 0)
  }
  publish(n: number): void {
    if (n > this.window) throw new RangeError(`publish(${n}) in a window of ${this.window}`)
    this.tail += n
  }
  take(n = this.used): Uint8Array {
    const out = new Uint8Array(Math.min(n, this.used))
    for (let i = 0; i < out.length; i++) out[i] = this.ring[(this.head + i) % this.size]
    this.head += out.length
    return out
  }
  grow(size: number): void {
    const ring = new Uint8Array(size)
    // Also what lies past the tail: text that came early.
    for (let i = 0; i < this.size; i++)
      ring[(this.head + i) % size] = this.ring[(this.head + i) % this.size]
    this.ring = ring
  }
  get string(): string {
    return Buffer.from(this.take()).toString('latin1')
  }
}

export interface WireOptions {
  mtu?: number
  maxDatagram?: number
  /** Compute and check checksums. */
  checksums?: boolean
  tuning?: Partial<TcpTuning>
}

type Deliver = (
  bytes: Uint8Array,
  path: FakePath,
  gsoSize: number,
  tos: number,
  ttl: number,
) => void

/** A way to anywhere whose datagrams go to a function. */
export class FakePath implements Path {
  readonly src: Address
  readonly dst: Address
  mtu: number
  readonly maxDatagram: number
  readonly headerLength: number
  readonly bytes = new Uint8Array(70_000)
  /** open() says that there is no room this many times. */
  full = 0
  confirmed = 0
  private readonly checksums: boolean
  private readonly deliver: Deliver
  private opened = -1

  constructor(src: Address, dst: Address, o: WireOptions, deliver: Deliver) {
    this.src = src
    this.dst = dst
    this.mtu = o.mtu ?? 1500
    this.maxDatagram = o.maxDatagram ?? this.mtu
    this.headerLength = src.isV4 ? 20 : 40
    this.checksums = o.checksums ?? false
    this.deliver = deliver
  }
  open(length: number): number {
    if (this.full > 0) {
      this.full--
      return -1
    }
    if (length + this.headerLength > this.maxDatagram) throw new RangeError(`open(${length})`)
    this.opened = length
    return 16
  }
  close(length: number, gsoSize: number, checksumOffset: number, tos = 0, ttl = 64): void {
    if (length > this.opened) throw new RangeError(`close(${length}) after open(${this.opened})`)
    if (length + this.headerLength > this.mtu && !(gsoSize > 0)) throw new RangeError('no gsoSize')
    this.opened = -1
    const bytes = this.bytes.slice(16, 16 + length)
    if (this.checksums) writeU16(bytes, checksumOffset, checksumOf(bytes, this.src, this.dst))
    this.deliver(bytes, this, gsoSize, tos, ttl)
  }
  confirm(): void {
    this.confirmed++
  }
}

export interface Event {
  readonly tcb: number
  readonly events: number
  readonly errno: number
}

/** The program above: takes every connection, remembers every event. */
export class FakeUser implements TcpUser {
  tcp!: Tcp
  answer: 'accept' | 'drop' | 'refuse' = 'accept'
  take = true
  readonly log: Event[] = []
  readonly accepted: { tcb: number; listener: number; out: Outbox; in: Inbox }[] = []
  readonly boxes = new Map<number, { out: Outbox; in: Inbox }>()
  inboxSize = 65536
  onEvent: (event: Event, now: number) => void = () => {}
  maxInbox = 0

  synArrives(): 'accept' | 'drop' | 'refuse' {
    return this.answer
  }
  established(tcb: number, listener: number): boolean {
    if (!this.take) return false
    const box = { out: new Outbox(), in: new Inbox(this.inboxSize) }
    this.boxes.set(tcb, box)
    this.accepted.push({ tcb, listener, ...box })
    this.tcp.attach(tcb, box.out, box.in)
    return true
  }
  changed(tcb: number, events: number, errno: number, now: number): void {
    const event = { tcb, events, errno }
    this.log.push(event)
    this.onEvent(event, now)
  }
  growReceive(tcb: number, wanted: number): void {
    const box = this.boxes.get(tcb)
    if (!box || this.maxInbox === 0) return
    let size = box.in.size
    while (size < Math.min(wanted, this.maxInbox)) size *= 2
    if (size > box.in.size) box.in.grow(size)
  }
  growSend(_tcb: number, _wanted: number): boolean {
    return true
  }
  /** All events of a connection so far, in one. */
  events(tcb: number): number {
    return this.log.reduce((all, e) => (e.tcb === tcb ? all | e.events : all), 0)
  }
  errno(tcb: number): number {
    return this.log.reduce((last, e) => (e.tcb === tcb && e.errno ? e.errno : last), 0)
  }
}

/** One Tcp at HERE. What it sends is in `sent` until take()n. */
export class Host {
  readonly clock: Clock
  readonly user = new FakeUser()
  readonly memory: ArrayBuffer
  tcp: Tcp
  readonly paths = new Map<string, FakePath>()
  readonly sent: Sent[] = []
  readonly raw: { bytes: Uint8Array; src: Address; dst: Address }[] = []
  readonly states: string[] = []
  readonly packet = new FakePacket()
  readonly address: Address
  private readonly wire: WireOptions
  private readonly capacity: number
  private readonly fill: (bytes: Uint8Array) => void
  deliver: Deliver | undefined

  constructor(
    o: WireOptions & { clock?: Clock; capacity?: number; seed?: number; address?: Address } = {},
  ) {
    this.clock = o.clock ?? new Clock()
    this.wire = o
    this.capacity = o.capacity ?? 64
    this.address = o.address ?? HERE
    this.memory = new ArrayBuffer(this.capacity * TCB_BYTES)
    this.fill = randomBytes(random(o.seed ?? 1))
    this.tcp = this.newTcp()
  }
  get now(): number {
    return this.clock.now
  }
  private newTcp(): Tcp {
    const tcp = new Tcp({
      memory: this.memory,
      capacity: this.capacity,
      random: this.fill,
      user: this.user,
      tuning: this.wire.tuning ?? {},
      paths: {
        path: (src, dst) => this.path(src, dst),
        source: () => this.address,
      },
    })
    this.user.tcp = tcp
    tcp.trace = (_slot, from, to) => this.states.push(`${from} ${to}`)
    return tcp
  }
  /** The thread is gone; another takes its place. */
  replace(): number[] {
    this.tcp = this.newTcp()
    return this.tcp.recover(this.now)
  }
  path(src: Address, dst: Address): FakePath {
    const key = [src.a, src.b, src.c, src.d, dst.a, dst.b, dst.c, dst.d].join()
    let path = this.paths.get(key)
    if (!path) {
      path = new FakePath(src, dst, this.wire, (bytes, p, gsoSize, tos, ttl) => {
        if (this.deliver) return this.deliver(bytes, p, gsoSize, tos, ttl)
        this.sent.push(read(bytes, p.src, p.dst, gsoSize, tos, ttl))
        this.raw.push({ bytes, src: p.src, dst: p.dst })
      })
      this.paths.set(key, path)
    }
    return path
  }
  /** Turns, run and then events, until there is nothing more to do now. */
  turn(): void {
    for (let i = 0; i < 1000; i++) {
      this.tcp.run(this.now)
      this.tcp.flushEvents(this.now)
      if (this.tcp.nextTimer() !== -Infinity) return
    }
    throw new Error('a turn without end')
  }
  /** Lets the clock run for `ms`, stopping at each deadline. */
  wait(ms: number): void {
    const end = this.now + ms
    for (let i = 0; i < 10_000; i++) {
      this.turn()
      const next = this.tcp.nextTimer()
      if (next > end) break
      this.clock.now = Math.max(this.clock.now, next)
    }
    this.clock.now = end
    this.turn()
  }
  /** What was sent since the last time. */
  take(): Sent[] {
    this.raw.length = 0
    return this.sent.splice(0)
  }
  /** A segment arrives. No turn. */
  arrive(f: Fields, from = THERE, to = this.address): void {
    this.tcp.arrives(this.packet.set(build(f), from, to, true, f.tos), this.now)
  }
}

/** One side of a connection whose other side is the test: numbers relative to both ISNs. */
export class Peer {
  readonly host: Host
  readonly tcb: number
  readonly out: Outbox
  readonly in: Inbox
  readonly localPort: number
  readonly port: number
  readonly iss: number
  readonly irs: number
  readonly ts: boolean
  /** Our window towards the host, as in the header. */
  wnd = 65535

  constructor(
    host: Host,
    c: {
      tcb: number
      out: Outbox
      in: Inbox
      localPort: number
      port: number
      iss: number
      irs: number
      ts: boolean
    },
  ) {
    this.host = host
    this.tcb = c.tcb
    this.out = c.out
    this.in = c.in
    this.localPort = c.localPort
    this.port = c.port
    this.iss = c.iss
    this.irs = c.irs
    this.ts = c.ts
  }

  /** From the peer, numbers relative: seq 1 and ack 1 are the first bytes of text. Then a turn. */
  says(f: Fields): Sent[] {
    this.hears(f)
    this.host.turn()
    return this.host.take().map(s => this.relative(s))
  }
  /** The same without the turn. */
  hears(f: Fields): void {
    const sack = f.sack?.map(([a, b]) => [(a + this.iss) >>> 0, (b + this.iss) >>> 0] as const)
    this.host.arrive({
      srcPort: this.port,
      dstPort: this.localPort,
      wnd: this.wnd,
      ...(this.ts ? { ts: [this.host.now | 0, 0] as const } : {}),
      ...f,
      flags: f.flags ?? ACK,
      seq: ((f.seq ?? 1) + this.irs) >>> 0,
      ack: ((f.ack ?? 1) + this.iss) >>> 0,
      ...(sack ? { sack } : {}),
    })
  }
  /** The program writes. Then a turn. */
  write(what: string | Uint8Array, more = false, full = false): Sent[] {
    this.out.write(what)
    this.host.tcp.send(this.tcb, this.host.now, more, full)
    return this.turn()
  }
  /** The program reads. Then a turn. */
  read(n?: number): Uint8Array {
    const got = this.in.take(n)
    this.host.tcp.received(this.tcb, this.host.now)
    return got
  }
  turn(): Sent[] {
    this.host.turn()
    return this.host.take().map(s => this.relative(s))
  }
  wait(ms: number): Sent[] {
    this.host.wait(ms)
    return this.host.take().map(s => this.relative(s))
  }
  relative(s: Sent): Sent {
    return {
      ...s,
      seq: (s.seq - this.iss) | 0,
      ack: (s.ack - this.irs) | 0,
      sack: s.sack.map(([a, b]) => [(a - this.irs) | 0, (b - this.irs) | 0] as const),
    }
  }
  get state(): string {
    return this.host.tcp.state(this.tcb)
  }
  get events(): number {
    return this.host.user.events(this.tcb)
  }
  get errno(): number {
    return this.host.user.errno(this.tcb)
  }
}

export interface PeerOptions {
  mss?: number
  wscale?: number
  sackOk?: boolean
  ts?: boolean
  wnd?: number
  irs?: number
  settings?: Partial<TcpSettings>
  inbox?: number
}

/** An established connection that the host opened; nothing of the handshake is left in `sent`. */
export function connected(host: Host, o: PeerOptions = {}): Peer {
  const out = new Outbox()
  const inbox = new Inbox(o.inbox)
  const port = 80
  const tcb = host.tcp.open(HERE, 0, THERE, port, out, inbox, o.settings ?? {}, host.now)
  if (tcb < 0) throw new Error(`open: ${tcb}`)
  host.user.boxes.set(tcb, { out, in: inbox })
  host.turn()
  const syn = host.take().at(-1)!
  const peer = new Peer(host, {
    tcb,
    out,
    in: inbox,
    localPort: syn.srcPort,
    port,
    iss: syn.seq,
    irs: o.irs ?? 5000,
    ts: o.ts ?? false,
  })
  peer.wnd = o.wnd ?? 65535
  peer.says({
    flags: SYN | ACK,
    seq: 0,
    mss: o.mss ?? 1460,
    ...(o.wscale === undefined ? {} : { wscale: o.wscale }),
    ...(o.sackOk ? { sackOk: true } : {}),
  })
  host.take()
  return peer
}

/** An established connection that came to a listener of the host's on port 80. */
export function accepted(host: Host, o: PeerOptions & { port?: number } = {}): Peer {
  const port = o.port ?? 40_000
  const irs = o.irs ?? 5000
  if (o.inbox) host.user.inboxSize = o.inbox
  if (!host.tcp.listeners.find(host.packet.set(new Uint8Array(20), THERE, HERE), 80, 1))
    host.tcp.listen(HERE, 80, false, 7, o.settings ?? {})
  host.take()
  host.arrive({
    srcPort: port,
    dstPort: 80,
    flags: SYN,
    seq: irs,
    wnd: o.wnd ?? 65535,
    mss: o.mss ?? 1460,
    ...(o.wscale === undefined ? {} : { wscale: o.wscale }),
    ...(o.sackOk ? { sackOk: true } : {}),
    ...(o.ts ? { ts: [host.now | 0, 0] as const } : {}),
  })
  host.turn()
  const synAck = host.take().at(-1)!
  host.arrive({
    srcPort: port,
    dstPort: 80,
    flags: ACK,
    seq: irs + 1,
    ack: synAck.seq + 1,
    wnd: o.wnd ?? 65535,
    ...(o.ts ? { ts: [host.now | 0, 0] as const } : {}),
  })
  host.turn()
  host.take()
  const got = host.user.accepted.at(-1)!
  const peer = new Peer(host, {
    tcb: got.tcb,
    out: got.out,
    in: got.in,
    localPort: 80,
    port,
    iss: synAck.seq,
    irs,
    ts: o.ts ?? false,
  })
  peer.wnd = o.wnd ?? 65535
  return peer
}

export interface Faults {
  seed: number
  loss?: number
  duplicate?: number
  corrupt?: number
  /** One-way delay, ms, and how much more at random. */
  delay?: number
  jitter?: number
  /** Share of packets that are not delayed, and so overtake those that are (netem's reorder). */
  reorder?: number
  /** Share of open() calls that find no room. */
  noRoom?: number
  /**
   * A bottleneck in each direction, before the delay: bits a second, and the bytes that may wait for it; more are lost.
   * What the link was to segment, it does, since a bottleneck knows only packets.
   */
  rate?: number
  queue?: number
  /** Bytes waiting beyond which a packet that is ECT is marked CE. */
  mark?: number
}

/** IP and Ethernet headers: what a packet's transport bytes cost on a wire besides. */
export const WIRE_OVERHEAD = 34

/** The narrow place of one direction: until when it is busy, what it has let through, what was lost there. */
class Bottleneck {
  private readonly bytesPerMs: number
  private readonly queue: number
  private freeAt = 0
  bytes = 0
  packets = 0
  lost = 0
  marked = 0
  /** Bytes that waited, at most. */
  peak = 0

  constructor(rate: number, queue: number) {
    this.bytesPerMs = rate / 8000
    this.queue = queue
  }
  /** When a packet is through; -1: there is no room for it. */
  pass(length: number, now: number): number {
    const size = length + WIRE_OVERHEAD
    const waiting = this.waiting(now)
    if (waiting + size > this.queue) {
      this.lost++
      return -1
    }
    this.peak = Math.max(this.peak, waiting + size)
    this.freeAt = Math.max(now, this.freeAt) + size / this.bytesPerMs
    this.bytes += size
    this.packets++
    return this.freeAt
  }
  waiting(now: number): number {
    return this.freeAt <= now ? 0 : (this.freeAt - now) * this.bytesPerMs
  }
}

/** The packets that a link makes of a segment that is longer than its mtu. */
function segments(bytes: Uint8Array, gsoSize: number): Uint8Array[] {
  const header = (bytes[12] >> 4) * 4
  if (gsoSize === 0 || bytes.length - header <= gsoSize) return [bytes]
  const out: Uint8Array[] = []
  for (let at = header; at < bytes.length; at += gsoSize) {
    const one = new Uint8Array(header + Math.min(gsoSize, bytes.length - at))
    one.set(bytes.subarray(0, header))
    one.set(bytes.subarray(at, at + one.length - header), header)
    writeU32(one, 4, u32(bytes, 4) + at - header)
    // FIN and PSH stand on the last, CWR on the first (RFC 3168 section 6.1.2).
    if (at + gsoSize < bytes.length) one[13] &= ~(FIN | PSH)
    if (at > header) one[13] &= ~CWR
    out.push(one)
  }
  return out
}

interface Flying {
  readonly at: number
  readonly bytes: Uint8Array
  readonly tos: number
  readonly to: Host
  readonly src: Address
  readonly dst: Address
}

/** Two hosts, a wire between them, one clock. */
export class Pair {
  readonly clock = new Clock()
  readonly a: Host
  readonly b: Host
  private readonly next: () => number
  private readonly faults: Faults
  private readonly checksums: boolean
  private flying: Flying[] = []
  /** Those before it have landed. */
  private landed = 0
  datagrams = 0
  /** The bottlenecks from a to b and back. */
  readonly there: Bottleneck
  readonly back: Bottleneck

  constructor(faults: Faults, wire: WireOptions = {}, capacity = 16) {
    this.faults = faults
    this.checksums = wire.checksums ?? true
    this.next = random(faults.seed)
    this.there = new Bottleneck(faults.rate ?? Infinity, faults.queue ?? Infinity)
    this.back = new Bottleneck(faults.rate ?? Infinity, faults.queue ?? Infinity)
    const o = { checksums: true, ...wire, clock: this.clock, capacity }
    this.a = new Host({ ...o, seed: faults.seed + 1, address: HERE })
    this.b = new Host({ ...o, seed: faults.seed + 2, address: THERE })
    this.a.deliver = (bytes, path, gsoSize, tos) => this.leave(bytes, path, gsoSize, tos, this.b)
    this.b.deliver = (bytes, path, gsoSize, tos) => this.leave(bytes, path, gsoSize, tos, this.a)
  }

  private leave(bytes: Uint8Array, path: FakePath, gsoSize: number, tos: number, to: Host): void {
    if (this.faults.rate === undefined) return this.fly(bytes, path, tos, to)
    for (const one of segments(bytes, gsoSize)) {
      if (this.checksums) writeU16(one, 16, checksumOf(one, path.src, path.dst))
      this.fly(one, path, tos, to)
    }
  }

  private fly(bytes: Uint8Array, path: FakePath, tos: number, to: Host): void {
    const f = this.faults
    this.datagrams++
    if (f.noRoom && this.next() < f.noRoom) path.full = 1 + Math.floor(this.next() * 3)
    const bottleneck = to === this.b ? this.there : this.back
    if (this.next() < (f.loss ?? 0)) {
      bottleneck.lost++
      return
    }
    const long = bottleneck.waiting(this.clock.now) > (f.mark ?? Infinity)
    const through = bottleneck.pass(bytes.length, this.clock.now)
    if (through < 0) return
    // A router marks what may be marked (RFC 3168).
    if (long && (tos & 3) !== 0) {
      tos |= 3
      bottleneck.marked++
    }
    const copies = this.next() < (f.duplicate ?? 0) ? 2 : 1
    for (let i = 0; i < copies; i++) {
      const copy = bytes.slice()
      if (this.next() < (f.corrupt ?? 0))
        copy[Math.floor(this.next() * copy.length)] ^= 1 << Math.floor(this.next() * 8)
      const hurried = f.reorder !== undefined && this.next() < f.reorder
      const at = hurried ? through : through + (f.delay ?? 1) + this.next() * (f.jitter ?? 0)
      this.insert({ at, bytes: copy, tos, to, src: path.src, dst: path.dst })
    }
  }

  /** Where it belongs, which is mostly the end. */
  private insert(one: Flying): void {
    let i = this.flying.length
    while (i > this.landed && this.flying[i - 1].at > one.at) i--
    if (i === this.flying.length) this.flying.push(one)
    else this.flying.splice(i, 0, one)
  }

  /** Runs until `done`, or until nothing is left to happen, or `limit` ms of virtual time have passed. */
  run(done: () => boolean, limit = 600_000): void {
    const end = this.clock.now + limit
    for (let still = 0, last = 0; ;) {
      this.turn()
      if (done()) return
      still = this.clock.now === last ? still + 1 : 0
      if (still > 10_000) throw new Error('time stands still')
      last = this.clock.now
      const next = Math.min(
        this.flying[this.landed]?.at ?? Infinity,
        this.a.tcp.nextTimer(),
        this.b.tcp.nextTimer(),
        this.a.tcp.blocked.length + this.b.tcp.blocked.length > 0 ? this.clock.now + 0.1 : Infinity,
      )
      if (next > end) return
      this.clock.now = Math.max(this.clock.now, next)
      while (this.landed < this.flying.length && this.flying[this.landed].at <= this.clock.now) {
        const { bytes, tos, to, src, dst } = this.flying[this.landed++]
        to.tcp.arrives(to.packet.set(bytes, src, dst, !this.checksums, tos), this.clock.now)
      }
      if (this.landed > 4096) {
        this.flying = this.flying.slice(this.landed)
        this.landed = 0
      }
    }
  }

  turn(): void {
    for (const host of [this.a, this.b]) host.turn()
  }
}
