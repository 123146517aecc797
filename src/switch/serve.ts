// Drives a switch: the ctl socket, its connections, their doorbells, the time. One loop, which sleeps in one epoll_wait;
// it goes back to libuv only for signals (a signal interrupts epoll_wait) and once a second.
import * as libc from '../ffi/libc.ts'
import { describeErrno, EAGAIN, ECONNABORTED, EINTR } from '../base/errno.ts'
import { sendWithFds } from '../ffi/unix.ts'
import type { Address } from '../wire/address.ts'
import type { Mac } from '../wire/mac.ts'
import { Cable } from './cable.ts'
import {
  CTL_BRIDGE,
  CTL_CLAIM,
  CTL_HELLO,
  CTL_RELEASE,
  emitDone,
  emitRefused,
  emitTaken,
  emitWelcome,
  messageLength,
  messageType,
  messageVersion,
  parseBridge,
  parseClaim,
  parseHello,
  PORT_VERSION,
} from './ctl.ts'
import { MAX_REGISTERED } from './mac-table.ts'
import { SwitchPort, type Station } from './port.ts'
import { MAX_CLAIMS, Registry, type Conflict } from './registry.ts'
import { Switch } from './switch.ts'

export const SWITCH_MTU = 1500
const RING_SIZE = 2 << 20
/** Work between two looks at epoll, in bytes: a millisecond or less. */
const POLL_AFTER = 1 << 20
/** A connection has so long for its hello, and so many may be without one. */
const HELLO_MS = 5000
const MAX_STRANGERS = 64
const MAX_LOG_LINES = 1000

interface Connection {
  readonly fd: number
  /** Epoll's numbers for it: this for the control connection, one more for the doorbell. */
  readonly id: number
  readonly since: number
  input: Buffer
  port?: SwitchPort
  cable?: Cable
}

export interface ServeOptions {
  /** End so long after the last port left, ms; Infinity: stay. */
  readonly linger: number
  readonly log: (line: string) => void
}

export class SwitchServer {
  readonly switch = new Switch(SWITCH_MTU)
  readonly #listener: number
  readonly #options: ServeOptions
  readonly #registry = new Registry<Connection>()
  readonly #connections = new Map<number, Connection>()
  /** Connections that have not said hello, oldest first. */
  readonly #strangers = new Set<Connection>()
  readonly #epoll: number
  readonly #events = new libc.EpollEvents(64)
  #ids = 0
  #now = performance.now()
  #idleSince = this.#now
  #lastTick = this.#now
  /** Out of descriptors: the listener is not watched until one is free again. */
  #paused = false
  #lines = 0
  ended = false

  constructor(listener: number, options: ServeOptions) {
    this.#listener = listener
    this.#options = options
    this.#epoll = libc.epollCreate()
    if (this.#epoll < 0) throw new Error(`epoll_create1: ${describeErrno(this.#epoll)}`)
    this.#watch(listener, 0)
  }

  /** Serves for `ms`, or until a signal came or the last port has left for long enough. */
  run(ms: number): void {
    const until = performance.now() + ms
    let unpolled = 0
    while (!this.ended) {
      unpolled += this.#turns(POLL_AFTER - unpolled)
      const sleep = unpolled < POLL_AFTER && this.switch.arm()
      if (!sleep && unpolled < POLL_AFTER) continue
      unpolled = 0
      this.#now = performance.now()
      if (this.#now >= until) return
      const n = this.#events.wait(this.#epoll, sleep ? this.#patience(until) : 0)
      this.#now = performance.now()
      if (n === -EINTR) return
      if (n < 0) throw new Error(`epoll_wait: ${describeErrno(n)}`)
      for (let i = 0; i < n; i++) this.#event(this.#events.data(i), this.#events.events(i))
      this.#tick()
    }
  }

  /** Unplugs everyone. */
  close(): void {
    this.ended = true
    for (const connection of [...this.#connections.values()]) this.#close(connection)
    libc.close(this.#listener)
    libc.close(this.#epoll)
  }

  /** How long to sleep, ms: until the caller wants the thread back, or it may be time to end. */
  #patience(until: number): number {
    const linger = this.#isEmpty() ? this.#idleSince + this.#options.linger : Infinity
    return Math.max(0, Math.ceil(Math.min(until, linger) - this.#now))
  }

  #isEmpty(): boolean {
    return this.switch.ports.length + this.#strangers.size === 0
  }

  /** Turns until there is nothing to do, or `limit` bytes of work are done. */
  #turns(limit: number): number {
    let work = 0
    for (;;) {
      const done = this.switch.turn(Math.floor(this.#now / 1000))
      work += done
      if (this.switch.broken.length > 0) this.#closeBroken()
      if (done === 0 || work >= limit) return work
    }
  }

  #closeBroken(): void {
    for (const port of this.switch.broken.splice(0))
      for (const connection of this.#connections.values())
        if (connection.port === port) {
          this.#log(`${describePort(port)} broke the rules of its rings`)
          this.#close(connection)
        }
  }

  #event(data: number, events: number): void {
    if (data === 0) return this.#accept()
    const connection = this.#connections.get(data & ~1)
    if (connection === undefined) return
    if ((data & 1) === 0) return this.#read(connection)
    if ((events & (libc.EPOLLHUP | libc.EPOLLERR | libc.EPOLLRDHUP)) !== 0)
      return this.#close(connection)
    connection.cable?.answer()
    if (connection.port !== undefined) this.switch.wake(connection.port)
  }

  #tick(): void {
    if (!this.#isEmpty()) this.#idleSince = this.#now
    else if (this.#now - this.#idleSince >= this.#options.linger) this.ended = true
    if (this.#now - this.#lastTick < 500) return
    this.#lastTick = this.#now
    this.#resume()
    for (const connection of this.#strangers)
      if (this.#now - connection.since > HELLO_MS) this.#close(connection)
  }

  #accept(): void {
    for (let i = 0; i < MAX_STRANGERS; i++) {
      const fd = libc.accept4(this.#listener, libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC)
      if (fd === -EAGAIN) return
      if (fd === -EINTR || fd === -ECONNABORTED) continue
      if (fd < 0) return this.#pause(fd)
      do this.#ids = (this.#ids + 2) % 0x40000000
      while (this.#ids === 0 || this.#connections.has(this.#ids))
      const connection = { fd, id: this.#ids, since: this.#now, input: Buffer.alloc(0) }
      this.#connections.set(connection.id, connection)
      this.#strangers.add(connection)
      this.#watch(fd, connection.id)
      if (this.#strangers.size > MAX_STRANGERS)
        for (const oldest of this.#strangers) {
          this.#close(oldest)
          break
        }
    }
  }

  /** accept() failed: most likely descriptors are used up. Trying again at once would burn the processor. */
  #pause(errno: number): void {
    this.#log(`cannot accept a connection: ${describeErrno(errno)}`)
    libc.epollCtl(this.#epoll, libc.EPOLL_CTL_DEL, this.#listener, 0, 0)
    this.#paused = true
  }

  #resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#watch(this.#listener, 0)
  }

  #watch(fd: number, data: number): void {
    const events = libc.EPOLLIN | libc.EPOLLRDHUP
    const r = libc.epollCtl(this.#epoll, libc.EPOLL_CTL_ADD, fd, events, data)
    if (r < 0) throw new Error(`epoll_ctl: ${describeErrno(r)}`)
  }

  /** Takes what the station says. recv() without room for descriptors throws away those that were passed. */
  #read(connection: Connection): void {
    const n = libc.recv(connection.fd, libc.scratch, libc.SCRATCH_SIZE, libc.MSG_DONTWAIT)
    if (n === -EAGAIN || n === -EINTR) return
    if (n <= 0) return this.#close(connection)
    connection.input = Buffer.concat([connection.input, libc.scratchBytes.subarray(0, n)])
    for (;;) {
      const length = messageLength(connection.input)
      if (length < 0) return this.#close(connection)
      if (length === 0) return
      const message = connection.input.subarray(0, length)
      connection.input = connection.input.subarray(length)
      this.#message(connection, message)
      if (!this.#connections.has(connection.id)) return
    }
  }

  #message(connection: Connection, message: Buffer): void {
    const type = messageType(message)
    const version = messageVersion(message)
    if (version !== PORT_VERSION)
      this.#refuse(connection, `it speaks version ${PORT_VERSION} of the protocol, not ${version}`)
    else if (type === CTL_HELLO && connection.port === undefined) this.#hello(connection, message)
    else if (type === CTL_BRIDGE && connection.port === undefined) this.#bridge(connection, message)
    else if (type === CTL_CLAIM && connection.port !== undefined) this.#claim(connection, message)
    else if (type === CTL_RELEASE && connection.port !== undefined)
      this.#release(connection, message)
    else this.#refuse(connection, `it does not expect a message of type ${type}`)
  }

  #hello(connection: Connection, message: Buffer): void {
    const hello = parseHello(message)
    if (hello === undefined) return this.#refuse(connection, 'the hello holds what cannot be')
    const conflict = this.#conflict(connection, hello.mac, hello.addresses)
    if (conflict !== undefined) {
      this.#taken(connection, conflict)
      return this.#close(connection)
    }
    this.#plugIn(connection, hello)
  }

  #bridge(connection: Connection, message: Buffer): void {
    const bridge = parseBridge(message)
    if (bridge === undefined) return this.#refuse(connection, 'the greeting is cut short')
    this.#plugIn(connection, { mac: undefined, ...bridge })
  }

  #plugIn(connection: Connection, station: Station): void {
    if (this.switch.ports.length >= MAX_REGISTERED)
      return this.#refuse(connection, `all its ${MAX_REGISTERED} ports are taken`)
    const cable = Cable.make(RING_SIZE, SWITCH_MTU)
    if (typeof cable === 'number') {
      this.#log(`cannot make a port: ${describeErrno(cable)}`)
      return this.#refuse(connection, `it cannot make a port: ${describeErrno(cable)}`)
    }
    connection.cable = cable
    const welcome = emitWelcome({ ringSize: RING_SIZE, mtu: SWITCH_MTU })
    if (sendWithFds(connection.fd, welcome, cable.stationFds) !== welcome.length)
      return this.#close(connection)
    cable.closeStationFds()
    this.#strangers.delete(connection)
    connection.port = new SwitchPort(station, cable.from, cable.to, () => cable.ring())
    this.switch.add(connection.port)
    this.#watch(cable.doorbell, connection.id + 1)
  }

  #claim(connection: Connection, message: Buffer): void {
    const addresses = parseClaim(message)
    if (addresses === undefined) return this.#refuse(connection, 'the claim holds what cannot be')
    if (this.#registry.count(connection) + addresses.length > MAX_CLAIMS)
      return this.#refuse(connection, `a port may have ${MAX_CLAIMS} addresses`)
    const conflict = this.#conflict(connection, undefined, addresses)
    if (conflict !== undefined) this.#taken(connection, conflict)
    else this.#send(connection, emitDone())
  }

  #release(connection: Connection, message: Buffer): void {
    const addresses = parseClaim(message)
    if (addresses === undefined) return this.#refuse(connection, 'the release holds what cannot be')
    this.#registry.release(connection, addresses)
    this.#send(connection, emitDone())
  }

  /** Claims for the connection. What stands in the way is looked at first: its owner may have died just now. */
  #conflict(
    connection: Connection,
    mac: Mac | undefined,
    addresses: readonly Address[],
  ): Conflict<Connection> | undefined {
    for (;;) {
      const conflict = this.#registry.claim(connection, mac, addresses)
      if (conflict === undefined || !this.#gone(conflict.owner)) return conflict
    }
  }

  /** Has the station's end been closed, and epoll not told us yet? */
  #gone(connection: Connection): boolean {
    const hung = libc.poll(connection.fd, libc.POLLRDHUP, 0) & (libc.POLLRDHUP | libc.POLLHUP)
    if (hung !== 0) this.#close(connection)
    return hung !== 0
  }

  #taken(connection: Connection, { address, owner }: Conflict<Connection>): void {
    const station = owner.port?.station
    if (station?.mac === undefined) throw new Error('an address is claimed, and by no station')
    this.#send(connection, emitTaken({ address, ...station, mac: station.mac }))
  }

  #refuse(connection: Connection, why: string): void {
    this.#send(connection, emitRefused(why))
    this.#close(connection)
  }

  /** Answers are small and few: a station that does not read them is cut off. */
  #send(connection: Connection, message: Buffer): void {
    if (sendWithFds(connection.fd, message, []) !== message.length) this.#close(connection)
  }

  #close(connection: Connection): void {
    if (!this.#connections.delete(connection.id)) return
    this.#strangers.delete(connection)
    this.#registry.releaseAll(connection)
    // When the switch ends, its stations are not gone: they will meet again on the next one.
    if (connection.port !== undefined && !this.ended) this.switch.remove(connection.port)
    connection.cable?.close()
    libc.close(connection.fd)
    this.#resume()
  }

  /** Nobody can fill the disk by misbehaving. */
  #log(line: string): void {
    if (++this.#lines < MAX_LOG_LINES) this.#options.log(line)
    else if (this.#lines === MAX_LOG_LINES) this.#options.log('nothing more will be logged')
  }
}

const describePort = ({ station }: SwitchPort) => `the port of ${station.command} (${station.pid})`
