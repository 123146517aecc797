// The stack server's main thread: makes the memories, joins the network, starts the stack thread and replaces it when it
// fails, lets processes attach, and sees when the last of them is gone. Everything that moves bytes is in thread.ts.
//
// It ends by _exit: a Worker that sleeps in FFI would make process.exit() wait for ever. Nothing is lost by that; what a
// stack leaves behind (its directory, programs that sleep) is the undertaker's, which is told by the kernel.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { MessageChannel, Worker } from 'node:worker_threads'
import { inRoot } from '../base/root.ts'
import { UserError } from '../base/user-error.ts'
import type { ConfigurationMemory, Obtained } from '../conf/configuration.ts'
import type { Settings } from '../conf/settings.ts'
import * as libc from '../ffi/libc.ts'
import { unixListen } from '../ffi/unix.ts'
import { plugOpener, portOf, type PlugNumbers, type PlugOpener } from '../plug/open.ts'
import { ABI_NAME_PREFIX, REGION, SERVER_RUNNING } from '../shm/layout.ts'
import { Region } from '../shm/region.ts'
import { CALLS_BYTES } from '../sockets/calls.ts'
import { TABLE_BYTES } from '../sockets/table.ts'
import { TCB_BYTES } from '../stack/stack.ts'
import { CTL_CLAIM, CTL_RELEASE } from '../switch/ctl.ts'
import { changeClaims, joinNetwork, TakenError } from '../switch/start.ts'
import type { Address } from '../wire/address.ts'
import { formatAddress, parseAddress, parsePrefix } from '../wire/address-text.ts'
import { parseMac } from '../wire/mac.ts'
import { calibrate } from './calibrate.ts'
import { createStackDirectory, runtimeDirectory, sweepStackDirectories } from './runtime.ts'
import { userSecret } from './secret.ts'
import { SILENT, Sessions } from './session.ts'
import { Supervisor } from './supervisor.ts'
import {
  CONTROL_BYTES,
  HEARTBEAT,
  STOP,
  type FromThread,
  type ThreadData,
  type ToThread,
} from './thread-data.ts'

const TCB_CAPACITY = 32768
/** How many times the stack thread is replaced within a minute. */
const MOST_REPLACEMENTS = 10
/** The thread's heart beats at least once a second; so many looks without a beat and it hangs. */
const LOOK_MS = 500
const LOOKS = 5
/** What is left to send when the last program has ended gets this long while nobody takes it. */
const DRAIN_MS = 60_000
const RETRY_NETWORK_MS = 200
/** limits.h's. */
const HOST_NAME_MAX = 64

export interface ServerOptions {
  readonly net: string
  readonly settings: Settings
  readonly mac: string
  /** The program, for those who ask who has an address. */
  readonly command: string
  /** The process that will become the program; its end before that is the server's. */
  readonly parent: number
  /** CTL_FAULT works (tests). */
  readonly faults: boolean
  /** The first stack thread, which waits for its data. */
  readonly thread: Worker
}

export interface ServerReady {
  readonly stack: string
  readonly dir: string
  readonly token: string
  readonly obtained: Obtained
}

/** Events of the main thread's epoll set that are no slots. */
const CONTROL_SOCKET = 0x10000
const LIFE = 0x10001
const PARENT = 0x10002

export class Server {
  readonly #options: ServerOptions
  readonly #opener: PlugOpener
  readonly #name = randomBytes(8).toString('hex')
  readonly #token = randomBytes(16)
  readonly #region: Region
  readonly #dir: string
  readonly #epoll = libc.epollCreate()
  readonly #control = new SharedArrayBuffer(CONTROL_BYTES)
  readonly #bell = libc.eventfd()
  readonly #sessions: Sessions
  readonly #ctlListeners: number[]
  readonly #thread: Omit<ThreadData, 'fresh' | 'link' | 'messages' | 'configuration'>
  #claims: readonly Address[]
  /** Claims are changed one after the other: they have one connection. */
  #claiming = Promise.resolve()
  #configuration: ConfigurationMemory | undefined
  #messages = new MessageChannel().port1
  #link: PlugNumbers | undefined
  #life = -1
  #supervisor: Supervisor | undefined
  #launched = false
  #draining = false
  /** Slots that the stack thread has been told of and has not freed yet. */
  readonly #ended = new Set<number>()
  #replacements: number[] = []

  /** Memory, names, directory. Throws a UserError if there can be none. */
  constructor(options: ServerOptions) {
    const runtime = runtimeDirectory()
    this.#options = options
    this.#claims = options.settings.addresses.map(text => parsePrefix(text)!.address)
    this.#opener = plugOpener(options.net, {
      runtime: () => runtime,
      join: network =>
        joinNetwork(network, {
          mac: parseMac(options.mac)!,
          addresses: this.#claims,
          pid: options.parent,
          command: options.command,
        }),
    })
    sweepStackDirectories(runtime)
    const { path } = createStackDirectory(runtime, this.#name)
    this.#dir = path
    this.#region = Region.create()
    const kernel = calibrate(`@${ABI_NAME_PREFIX}${this.#name}/calibration`)
    this.#region.words[REGION.plug / 4] = kernel.plug
    const nodename = Buffer.from(options.settings.name ?? '').subarray(0, HOST_NAME_MAX)
    this.#region.bytes.set(nodename, REGION.nodename)
    this.#sessions = new Sessions(this.#epoll, this.#region.fd, this.#token, options.faults, {
      slotEnded: slot => {
        this.#ended.add(slot)
        this.#tell({ type: 'slotEnded', slot })
        this.#endWithSessions()
      },
      launched: listener => this.#onLaunch(listener),
      fault: kind => {
        if (kind !== 'uncaught') return this.#tell({ type: 'fault', kind })
        setImmediate(() => {
          throw new Error('thrown as a test asked')
        })
      },
    })
    this.#ctlListeners = this.#listen(libc.SOCK_SEQPACKET, 'ctl', 1024)
    this.#thread = {
      name: this.#name,
      dir: this.#dir,
      regionFd: this.#region.fd,
      regionAddress: this.#region.address,
      table: new SharedArrayBuffer(TABLE_BYTES),
      calls: new SharedArrayBuffer(CALLS_BYTES),
      tcbs: new SharedArrayBuffer(TCB_BYTES * TCB_CAPACITY),
      control: this.#control,
      plug: kernel.plug,
      strangers: this.#opener.strangers,
      tokenSize: kernel.tokenSize,
      epoll: libc.epollCreate(),
      bell: this.#bell,
      connListeners: [
        ...this.#listen(libc.SOCK_STREAM, 'conn', 4096),
        ...this.#listen(libc.SOCK_SEQPACKET, 'msg', 4096),
      ],
      kicks: this.#listen(libc.SOCK_DGRAM, 'kick', 0),
      mac: options.mac,
      settings: options.settings,
      net: options.net,
      secret: options.settings.slaac === 'stable' ? userSecret() : new Uint8Array(0),
      identity: options.settings.name ?? options.command,
    }
    this.#startUndertaker()
  }

  /** Joins the network and starts the stack thread; resolves when programs can be served. */
  async start(): Promise<ServerReady> {
    // Who waits for a lease may lose patience: with ioth-run the wait ends.
    const parent = libc.pidfdOpen(this.#options.parent)
    if (parent < 0) throw new UserError('Cannot serve a program that is gone')
    this.#add(parent, PARENT)
    void this.#serve()
    this.#link = await this.#opener.open()
    const obtained = await this.#startThread(true)
    for (const fd of this.#ctlListeners) this.#add(fd, CONTROL_SOCKET)
    Atomics.store(this.#region.words, REGION.state / 4, SERVER_RUNNING)
    this.#watchHeart()
    return { stack: this.#name, dir: this.#dir, token: this.#token.toString('hex'), obtained }
  }

  /** Waits for processes that come and go, off the loop. */
  async #serve(): Promise<void> {
    const events = new libc.EpollEvents(64)
    for (;;) {
      await libc.waitReadable(this.#epoll)
      const n = events.wait(this.#epoll, 0)
      for (let i = 0; i < n; i++) this.#event(events.data(i), events.events(i))
    }
  }

  #event(data: number, events: number): void {
    if (data === CONTROL_SOCKET) for (const fd of this.#ctlListeners) this.#sessions.accept(fd)
    else if (data === LIFE) {
      if ((events & libc.EPOLLHUP) !== 0) this.#drain()
      else this.#supervisor?.start()
    } else if (data === PARENT) {
      libc.epollCtl(this.#epoll, libc.EPOLL_CTL_DEL, this.#parentFd, 0, 0)
      this.#parentEnded = true
      if (this.#launched) this.#endWithSessions()
      else this.#drain()
    } else if (data >= SILENT) this.#sessions.spoke(data - SILENT)
    else this.#sessions.ended(data)
  }

  #parentFd = -1
  #parentEnded = false

  /** Without a listener that tells: the program has ended, which may never have had a session, and all others. */
  #endWithSessions(): void {
    if (this.#life < 0 && this.#launched && this.#parentEnded && this.#sessions.count === 0)
      this.#drain()
  }

  #add(fd: number, data: number): void {
    if (data === PARENT) this.#parentFd = fd
    libc.epollCtl(this.#epoll, libc.EPOLL_CTL_ADD, fd, libc.EPOLLIN, data)
  }

  #onLaunch(listener: number): void {
    this.#launched = true
    if (listener < 0 || this.#life >= 0) return void (listener >= 0 && libc.close(listener))
    this.#life = listener
    this.#add(listener, LIFE)
    this.#supervisor = new Supervisor({
      listener,
      stack: this.#name,
      dir: this.#dir,
      token: this.#token.toString('hex'),
      watch: events => {
        libc.epollCtl(this.#epoll, libc.EPOLL_CTL_MOD, listener, events, LIFE)
      },
    })
  }

  // ---- the stack thread

  /** What the stack has to begin with. Throws a UserError if it cannot have what it shall. */
  async #startThread(fresh: boolean): Promise<Obtained> {
    const { port1, port2 } = new MessageChannel()
    this.#messages = port1
    const data: ThreadData = {
      ...this.#thread,
      fresh,
      link: this.#link,
      configuration: this.#configuration,
      messages: port2,
    }
    const worker = fresh ? this.#options.thread : new Worker(inRoot('dist/src/server/thread.js'))
    worker.postMessage(data, [port2])
    const obtained = await new Promise<Obtained>((resolve, reject) => {
      port1.on('message', (message: FromThread) => {
        if (message.type === 'ready') resolve(message.obtained)
        else if (message.type === 'refused') reject(new UserError(message.why))
        else if (message.type === 'configured') {
          this.#configuration = message.memory
          const claims = message.claims.map(text => parseAddress(text)!)
          this.#claiming = this.#claiming.then(() => this.#claim(claims))
        } else if (message.type === 'linkLost') void this.#rejoin()
        else if (message.type === 'slotFreed') this.#ended.delete(message.slot)
        else this.end(0)
      })
      worker.once('error', error => {
        reject(error)
        if (fresh && Atomics.load(this.#region.words, REGION.state / 4) !== SERVER_RUNNING) return
        this.#replaceThread(error)
      })
    })
    // What a thread was told shortly before it failed died with it.
    for (const slot of this.#ended) this.#tell({ type: 'slotEnded', slot })
    if (this.#draining) this.#tell({ type: 'drain' })
    return obtained
  }

  /** The thread threw: another one goes on with the same connections. */
  #replaceThread(error: Error): void {
    process.stderr.write(`stack thread: ${error.stack ?? String(error)}\n`)
    const now = performance.now()
    this.#replacements = this.#replacements.filter(then => now - then < 60_000)
    this.#replacements.push(now)
    if (this.#replacements.length > MOST_REPLACEMENTS) this.end(1)
    this.#messages.close()
    this.#startThread(false).catch(() => {
      // Its own 'error' event has started the next one.
    })
  }

  #watchHeart(): void {
    const control = new Int32Array(this.#control)
    let last = -1
    let same = 0
    setInterval(() => {
      const beat = Atomics.load(control, HEARTBEAT)
      same = beat === last ? same + 1 : 0
      last = beat
      // Looks are counted, not time: a machine that was suspended or a process that was stopped has not hung.
      if (same < LOOKS) return
      process.stderr.write('the stack thread does not answer; the stack ends\n')
      this.end(1)
    }, LOOK_MS)
  }

  #tell(message: ToThread): void {
    this.#messages.postMessage(message)
    libc.eventfdSignal(this.#bell)
  }

  // ---- the network

  /** The other end is gone: plugs in again, for as long as it takes. */
  async #rejoin(): Promise<void> {
    this.#link = undefined
    let said = ''
    for (;;) {
      try {
        this.#link = await this.#opener.open()
        break
      } catch (error) {
        const { message } = error as Error
        // It may fail for days, in the same way.
        if (message !== said) process.stderr.write(`${message}\n`)
        said = message
        await new Promise(resolve => setTimeout(resolve, RETRY_NETWORK_MS))
      }
    }
    this.#tell({ type: 'link', numbers: this.#link })
  }

  /** Our switch keeps others from these addresses, and from no others of ours. */
  async #claim(claims: readonly Address[]): Promise<void> {
    if (this.#draining) return
    const has = (list: readonly Address[], address: Address) => list.some(a => a.equals(address))
    const gone = this.#claims.filter(address => !has(claims, address))
    await this.#changeClaims(CTL_RELEASE, gone)
    for (const address of claims)
      if (!has(this.#claims, address) && !(await this.#changeClaims(CTL_CLAIM, [address])))
        this.#tell({ type: 'taken', address: formatAddress(address) })
    this.#claims = claims
  }

  /** What is left to send goes on, but whoever starts now may have the addresses (thread.ts: then this stack ends). */
  async #releaseAddresses(): Promise<void> {
    await this.#claiming
    const claims = this.#claims
    this.#claims = [] // also for a switch that comes after this one
    await this.#changeClaims(CTL_RELEASE, claims)
  }

  /** False: one is another's. Another plug than a switch has no claims; a switch that is gone is told them again. */
  async #changeClaims(
    type: typeof CTL_CLAIM | typeof CTL_RELEASE,
    addresses: readonly Address[],
  ): Promise<boolean> {
    const port = portOf(this.#link)
    const { network } = this.#opener
    if (port === undefined || network === undefined || addresses.length === 0) return true
    try {
      await changeClaims(network, port.control, type, addresses)
      return true
    } catch (error) {
      // With the switch gone there is nobody to give them back to.
      if (!this.#draining) process.stderr.write(`${(error as Error).message}\n`)
      return !(error instanceof TakenError)
    }
  }

  // ---- the end

  /** The last program has ended. */
  #drain(): void {
    if (this.#life >= 0) libc.epollCtl(this.#epoll, libc.EPOLL_CTL_DEL, this.#life, 0, 0)
    if (this.#draining) return
    this.#draining = true
    if (this.#link === undefined && !this.#launched) this.end(0)
    this.#tell({ type: 'drain' })
    void this.#releaseAddresses()
    setTimeout(() => this.end(0), DRAIN_MS)
  }

  /** Ends the server at once. */
  end(status: number): never {
    Atomics.store(new Int32Array(this.#control), STOP, 1)
    libc.eventfdSignal(this.#bell)
    libc.exitNow(status)
  }

  /** Both of a listener: the abstract name, and the path in the stack's directory. */
  #listen(type: number, name: string, backlog: number): number[] {
    return [`@${ABI_NAME_PREFIX}${this.#name}/${name}`, `${this.#dir}/${name}`].map(address => {
      const fd = unixListen(type, address, backlog)
      if (fd < 0) throw new UserError(`Cannot listen on "${address}": errno ${-fd}`)
      return fd
    })
  }

  /** The process that cleans up after this one, however it ends (preload/undertaker.c). */
  #startUndertaker(): void {
    const pipe = libc.pipe()
    if (typeof pipe === 'number') throw new UserError(`Cannot make a pipe: errno ${-pipe}`)
    const program = inRoot('build/ioth-undertaker')
    const child = spawn(program, ['3', '4', this.#name, this.#dir], {
      cwd: '/',
      detached: true,
      stdio: ['ignore', 'ignore', 'ignore', this.#region.fd, pipe[0]],
      env: {},
    })
    child.once('error', error => {
      process.stderr.write(`Cannot start "${program}": ${error.message}\n`)
      this.end(1)
    })
    child.unref()
    libc.close(pipe[0])
  }
}
