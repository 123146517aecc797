// The stack thread: one synchronous loop, which never returns to libuv. A turn takes calls, takes frames, lets the
// stack run its timers and send; with nothing left to do it sleeps in one epoll_wait, where every kind of news arrives:
// kicks of programs, doorbells of the switch, the server's ends of sockets, the main thread's bell.
//
// Nobody is rung while awake. `asleep` is set before the last look for work and sleep: whoever posts work afterwards
// sees it and kicks; whoever posted before is seen by that look.
//
// An exception ends the thread, with everything in it. The main thread then starts another over the same memories
// (`fresh` false), and recovery.ts takes up the connections.
import { randomFillSync } from 'node:crypto'
import { once } from 'node:events'
import { parentPort, receiveMessageOnPort } from 'node:worker_threads'
import { randomWords } from '../base/random.ts'
import { Configuration } from '../conf/configuration.ts'
import * as libc from '../ffi/libc.ts'
import { buildPlug, type PlugNumbers } from '../plug/open.ts'
import type { Plug } from '../plug/plug.ts'
import { REGION } from '../shm/layout.ts'
import { Region } from '../shm/region.ts'
import { Sockets } from '../sockets/sockets.ts'
import { Stack, TCB_BYTES } from '../stack/stack.ts'
import { formatAddress, parseAddress } from '../wire/address-text.ts'
import { parseMac, type Mac } from '../wire/mac.ts'
import { listSockets } from '../sockets/list-sockets.ts'
import { SysTree } from './sys-tree.ts'
import { ProgramServices } from './services.ts'
import { threadClock } from './clock.ts'
import { HEARTBEAT, STOP, type FromThread, type ThreadData, type ToThread } from './thread-data.ts'

/** Frames taken from the plug in one turn. */
const FRAMES_PER_TURN = 64
/** Datagrams of loopback in one turn. */
const LOOPBACK_PER_TURN = 64
/** A busy thread looks at its descriptors this often, in turns. */
const TURNS_PER_POLL = 16
const SWEEP_MS = 1000
/** At the end: is what was leased given back? */
const RELEASE_LOOK_MS = 10

class StackThread {
  readonly #data: ThreadData
  readonly #control: Int32Array
  readonly #words: Int32Array
  readonly #sockets: Sockets
  readonly #stack: Stack
  readonly #configuration: Configuration
  readonly #services: ProgramServices
  readonly #now = threadClock()
  readonly #random = randomWords(fillRandom)
  readonly #frames = {
    frameArrives: (
      bytes: Uint8Array,
      offset: number,
      length: number,
      checksum: number,
      gsoSize: number,
      now: number,
      start: number,
      at: number,
    ) => this.#stack.frameArrives(bytes, offset, length, checksum, gsoSize, now, start, at),
    stationGone: (mac: Mac, now: number) => this.#stack.stationGone(mac, now),
  }
  #plug: Plug | undefined
  /** The main thread knows whether programs can be served. */
  #begun = false
  /** There has been a link before. */
  #linked = false
  #draining = false
  #nextSweep = 0

  constructor(data: ThreadData) {
    const region = new Region(data.regionFd, data.regionAddress)
    this.#data = data
    this.#control = new Int32Array(data.control)
    this.#words = region.words
    const capacity = Math.floor(data.tcbs.byteLength / TCB_BYTES)
    this.#sockets = new Sockets({
      region,
      tableMemory: data.table,
      callsMemory: data.calls,
      tcbCapacity: capacity,
      name: data.name,
      plug: data.plug,
      tokenSize: data.tokenSize,
      epoll: data.epoll,
      random: this.#random,
      makeStack: user =>
        new Stack({
          mac: parseMac(data.mac)!,
          addresses: [],
          checksDuplicates: data.strangers,
          random: fillRandom,
          tcp: { memory: data.tcbs, capacity, user, tuning: data.settings.tcp },
        }),
    })
    this.#stack = this.#sockets.ground.stack
    const { settings, secret, identity } = data
    // A thread that goes on with another's connections has their addresses, too.
    const asks = data.fresh && data.strangers
    const setup = { settings, secret, identity, asks, random: this.#random }
    this.#configuration = new Configuration(this.#stack, setup, this.#now(), data.configuration)
    this.#services = new ProgramServices(
      this.#stack,
      this.#sockets.ground.calls,
      randomWords(fillRandom),
      settings.name,
      () => listSockets(this.#sockets.ground),
      new SysTree(this.#stack, `${this.#data.dir}/sys`),
    )
    this.#services.configure(this.#configuration.obtained)
    this.#sockets.provide(this.#services)
    this.#stack.onConflict = (address, _mac, now) => {
      // The program's next life has our address already.
      if (this.#draining) this.#tell({ type: 'drained' })
      else this.#configuration.conflict(address, now)
    }
    this.#stack.onLost = (address, _mac, now) => this.#configuration.taken(address, now)
    this.#watch()
    if (!data.fresh) this.#sockets.recover(this.#now())
    if (data.link !== undefined) this.#useLink(data.link)
  }

  #watch(): void {
    const { bell, connListeners, kicks } = this.#data
    this.#sockets.watch(bell, libc.EPOLLIN, () => {
      libc.eventfdClear(bell)
      this.#readMessages()
    })
    for (const fd of kicks)
      this.#sockets.watch(fd, libc.EPOLLIN, () => {
        while (libc.recv(fd, libc.scratch, 16, libc.MSG_DONTWAIT) > 0);
      })
    for (const fd of connListeners)
      this.#sockets.watch(fd, libc.EPOLLIN, () => {
        for (;;) {
          const end = libc.accept4(fd, libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC)
          if (end < 0) break
          this.#sockets.accepted(end)
        }
      })
  }

  /** The loop. Ends when the main thread says so. */
  run(): void {
    let turns = 0
    while (Atomics.load(this.#control, STOP) === 0) {
      Atomics.add(this.#control, HEARTBEAT, 1)
      const now = this.#now()
      const busy = this.#turn(now)
      this.#configuration.run(now)
      this.#services.run(now)
      const stackNext = this.#stack.run(now, LOOPBACK_PER_TURN)
      const next = Math.min(stackNext, this.#configuration.next, this.#services.next(now))
      if (this.#configuration.takeChange(now)) this.#tellConfiguration()
      if (!this.#begun) this.#begin(now)
      this.#plug?.flush()
      if (this.#draining && this.#sockets.drained && this.#configuration.release(now)) {
        // The server ends by what it is told here: a capture has all by then.
        this.#unplug()
        this.#tell({ type: 'drained' })
      }
      if (busy > 0 || next <= now) {
        if (++turns % TURNS_PER_POLL === 0) this.#sockets.poll(0)
      } else this.#sleep(next)
    }
  }

  /** Programs can be served now, or not yet, or never. */
  #begin(now: number): void {
    const configuration = this.#configuration
    const { fresh, net } = this.#data
    const state = fresh ? configuration.readiness(now) : 'ready'
    if (state === 'waiting') return
    this.#begun = true
    const late = state === 'late' ? `no DHCP server answered on ${net}` : undefined
    const why = fresh
      ? (configuration.refusal(net, this.#plug?.sink.mtu ?? Infinity) ?? late)
      : undefined
    if (why !== undefined) return this.#tell({ type: 'refused', why })
    // The change that brought it may not have been taken yet; the program may ask for names at once.
    const { obtained } = configuration
    this.#services.configure(obtained)
    this.#tell({ type: 'ready', obtained })
  }

  #tellConfiguration(): void {
    this.#services.configure(this.#configuration.obtained)
    const { memory, claims } = this.#configuration
    this.#tell({ type: 'configured', memory, claims: claims.map(formatAddress) })
  }

  /** Takes what is there. How many things there were. */
  #turn(now: number): number {
    const sockets = this.#sockets
    let n = sockets.takePosted(now)
    const plug = this.#plug
    if (plug !== undefined) {
      n += plug.receive(this.#frames, FRAMES_PER_TURN, now)
      if (plug.broken) this.#loseLink()
    }
    if (now >= this.#nextSweep) {
      this.#nextSweep = now + SWEEP_MS
      sockets.sweep(now)
    }
    return n
  }

  #sleep(stackNext: number): void {
    const sockets = this.#sockets
    const now = this.#now()
    let next = Math.min(stackNext, sockets.expire(now), this.#nextSweep)
    if (!this.#begun) next = Math.min(next, this.#configuration.readinessNext(now))
    if (this.#draining && sockets.drained) next = Math.min(next, now + RELEASE_LOOK_MS)
    // Pairs with the swap in post_work() and ctl_call() (preload/ctl.c).
    Atomics.store(this.#words, REGION.asleep / 4, 1)
    const idle = !sockets.posted && (this.#plug === undefined || this.#plug.arm())
    // The stack's time has a grain of a millisecond; a link that counts bits may want less.
    const until = Math.min(now + Math.ceil(next - now), this.#plug?.next ?? Infinity)
    sockets.poll(idle ? Math.max(0, until - now) : 0)
    Atomics.store(this.#words, REGION.asleep / 4, 0)
    // If it rang, its own event has done this.
    this.#plug?.wake(false)
  }

  #readMessages(): void {
    for (;;) {
      const got = receiveMessageOnPort(this.#data.messages) as { message: ToThread } | undefined
      if (got === undefined) return
      const { message } = got
      if (message.type === 'link') this.#useLink(message.numbers)
      else if (message.type === 'taken')
        this.#configuration.taken(parseAddress(message.address)!, this.#now())
      else if (message.type === 'slotEnded') this.#freeSlot(message.slot)
      else if (message.type === 'drain') this.#drain()
      else if (message.kind === 'throw') throw new Error('thrown as a test asked')
      else for (;;);
    }
  }

  #useLink(numbers: PlugNumbers): void {
    const plug = buildPlug(numbers, this.#now)
    this.#plug = plug
    this.#sockets.watch(plug.fd, libc.EPOLLIN, () => plug.wake())
    if (plug.controlFd >= 0)
      this.#sockets.watch(plug.controlFd, libc.EPOLLRDHUP, () => this.#loseLink())
    this.#stack.setSink(plug.sink)
    this.#configuration.linkUp(this.#now(), this.#linked)
    this.#linked = true
  }

  #loseLink(): void {
    if (this.#plug === undefined) return
    this.#configuration.linkDown()
    this.#unplug()
    this.#tell({ type: 'linkLost' })
  }

  #unplug(): void {
    const plug = this.#plug
    if (plug === undefined) return
    this.#plug = undefined
    this.#stack.setSink(undefined)
    this.#sockets.unwatch(plug.fd)
    if (plug.controlFd >= 0) this.#sockets.unwatch(plug.controlFd)
    plug.close()
  }

  #freeSlot(slot: number): void {
    this.#sockets.slotEnded(slot)
    this.#tell({ type: 'slotFreed', slot })
  }

  #drain(): void {
    this.#draining = true
    this.#nextSweep = 0
  }

  #tell(message: FromThread): void {
    this.#data.messages.postMessage(message)
  }
}

function fillRandom(bytes: Uint8Array): void {
  randomFillSync(bytes)
}

const [data] = (await once(parentPort!, 'message')) as [ThreadData]
new StackThread(data).run()
