// Two hosts joined by a cable, for whoever compares our stack with the kernel's: two network namespaces, in each a bridge
// that has the kernel's own addresses, a tap for a stack of ours, and one end of the cable. So both stacks use the same
// cable, and each can talk to either at the other end. Needs root.
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/**
 * Shaped by tbf (`rate`, as tc writes it), losing each packet with `loss` %; `ioth plug` through fault://PARAMETERS; VDE's
 * wirefilter with its options, between two of VDE's switches.
 */
export type Cable =
  | { readonly kind: 'veth'; readonly rate?: string; readonly loss?: number }
  | { readonly kind: 'fault'; readonly parameters: string }
  | { readonly kind: 'wirefilter'; readonly options: string }

export interface Commands {
  readonly iothRun: string
  readonly ioth: string
}

/** One of the two: `ip netns exec` before a command makes it use the kernel's stack, with these addresses. */
export class Host {
  readonly namespace: string
  readonly kernel: { readonly 4: string; readonly 6: string }
  readonly own: { readonly 4: string; readonly 6: string }
  readonly #commands: Commands

  constructor(namespace: string, n: number, commands: Commands) {
    this.namespace = namespace
    this.kernel = { 4: `10.77.0.${n}`, 6: `fd77::${n}` }
    this.own = { 4: `10.77.0.${10 + n}`, 6: `fd77::${10 + n}` }
    this.#commands = commands
  }

  /** What to put before a command's words. */
  prefix(stack: 'kernel' | 'ours'): string[] {
    const inside = ['ip', 'netns', 'exec', this.namespace]
    if (stack === 'kernel') return inside
    const ips = ['--ip', `${this.own[4]}/24`, '--ip', `${this.own[6]}/64`]
    return [...inside, this.#commands.iothRun, '--net', 'tap://t0', ...ips]
  }

  address(stack: 'kernel' | 'ours', family: 4 | 6): string {
    return (stack === 'kernel' ? this.kernel : this.own)[family]
  }
}

export class Hosts {
  readonly a: Host
  readonly b: Host
  readonly #commands: Commands
  readonly #directory = mkdtempSync(join(tmpdir(), 'ioth-cable-'))
  /** What moves frames from one end of the cable to the other. */
  #movers: ChildProcess[] = []

  /** Throws if the namespaces cannot be made. */
  constructor(commands: Commands) {
    this.#commands = commands
    this.a = new Host(`ioth-${process.pid}-a`, 1, commands)
    this.b = new Host(`ioth-${process.pid}-b`, 2, commands)
    for (const [n, host] of [this.a, this.b].entries()) {
      const { namespace, kernel } = host
      ip(`netns add ${namespace}`)
      const inside = (words: string) => ip(`-n ${namespace} ${words}`)
      inside('link set lo up')
      // A MAC of its own: a bridge's changes with its ports, and neighbors would not know.
      inside(`link add br0 address 02:77:00:00:00:0${n} type bridge mcast_snooping 0`)
      inside(`address add ${kernel[4]}/24 dev br0`)
      inside(`address add ${kernel[6]}/64 dev br0 nodad`)
      inside('tuntap add dev t0 mode tap')
      inside('link set t0 master br0')
      inside('link set t0 up')
      inside('link set br0 up')
    }
  }

  /** Joins the two, in place of what joined them before. */
  async join(cable: Cable): Promise<void> {
    await this.part()
    if (cable.kind === 'veth') this.#veth(cable.rate, cable.loss)
    else if (cable.kind === 'fault') await this.#fault(cable.parameters)
    else await this.#wirefilter(cable.options)
    for (const { namespace } of [this.a, this.b]) {
      ip(`-n ${namespace} link set c0 master br0`)
      ip(`-n ${namespace} link set c0 up`)
    }
  }

  /** Until nothing runs in a's namespace: stacks have sent what their programs left. */
  async quiet(): Promise<void> {
    await this.#until(() => pidsIn(this.a.namespace).length === 0)
  }

  async part(): Promise<void> {
    for (const mover of this.#movers.splice(0).reverse()) {
      if (mover.exitCode !== null || mover.signalCode !== null) continue
      const ended = once(mover, 'exit')
      mover.kill('SIGTERM')
      await ended
    }
    for (const { namespace } of [this.a, this.b])
      spawnSync('ip', ['-n', namespace, 'link', 'delete', 'c0'], { stdio: 'ignore' })
  }

  /** Ends everything that runs in the namespaces, and them. */
  async close(): Promise<void> {
    await this.part()
    for (const { namespace } of [this.a, this.b]) {
      for (const pid of pidsIn(namespace)) spawnSync('kill', ['-9', pid], { stdio: 'ignore' })
      spawnSync('ip', ['netns', 'delete', namespace])
    }
    rmSync(this.#directory, { recursive: true, force: true })
  }

  #veth(rate: string | undefined, loss: number | undefined): void {
    const [a, b] = [this.a.namespace, this.b.namespace]
    ip(`link add c0 netns ${a} type veth peer name c0 netns ${b}`)
    for (const namespace of [a, b]) {
      const inside = ['ip', 'netns', 'exec', namespace]
      if (rate !== undefined) {
        // 24 octets of preamble, gap and FCS for each frame of at most 1514: as on a real Ethernet.
        run([...inside, 'ethtool', '-K', 'c0', 'tso', 'off', 'gso', 'off', 'gro', 'off'])
        const shape = `overhead 24 linklayer ethernet tbf rate ${rate} burst 64kb limit 1mb`
        run([...inside, 'tc', 'qdisc', 'add', 'dev', 'c0', 'root', 'stab', ...shape.split(' ')])
      }
      if (loss !== undefined && loss > 0) {
        const drop = `numgen random mod 10000 < ${Math.round(loss * 100)} drop`
        const rules = `table netdev lossy { chain out { type filter hook egress device "c0" priority 0; policy accept; ${drop}; }; }`
        run([...inside, 'nft', rules])
      }
    }
  }

  /** The taps are made here, taken hold of by one process, and then moved into the namespaces. */
  async #fault(parameters: string): Promise<void> {
    const names = makeTaps()
    const [left, right] = names.map(name => `tap://${name}`)
    this.#start([this.#commands.ioth, 'plug', left, `fault://${parameters}{${right}}`])
    await this.#handOver(names)
  }

  async #wirefilter(options: string): Promise<void> {
    const names = makeTaps()
    const switches = names.map(name => join(this.#directory, name))
    for (const [i, path] of switches.entries()) {
      this.#start(['vde_switch', '-s', path, '-t', names[i]])
      await this.#until(() => existsSync(join(path, 'ctl')))
    }
    this.#start(['wirefilter', '-v', switches.join(':'), ...options.split(' ')])
    await this.#handOver(names)
  }

  /** Standard input stays open: vde_switch ends with it. */
  #start(words: string[]): void {
    const mover = spawn(words[0], words.slice(1), { stdio: ['pipe', 'ignore', 'inherit'] })
    this.#movers.push(mover)
  }

  async #handOver(taps: string[]): Promise<void> {
    await this.#until(() => taps.every(isHeld))
    for (const [i, { namespace }] of [this.a, this.b].entries())
      ip(`link set dev ${taps[i]} netns ${namespace} name c0`)
  }

  async #until(isSo: () => boolean): Promise<void> {
    for (let tries = 0; !isSo(); tries++) {
      const ended = this.#movers.find(mover => mover.exitCode !== null)
      if (ended !== undefined) throw new Error(`${ended.spawnargs.join(' ')} ended`)
      if (tries > 500) throw new Error('the hosts are not as they should be after 10 s')
      await delay(20)
    }
  }
}

function pidsIn(namespace: string): string[] {
  const { stdout } = spawnSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' })
  return stdout.split('\n').filter(Boolean)
}

function makeTaps(): string[] {
  const names = ['a', 'b'].map(end => `iot${process.pid}${end}`)
  for (const name of names) ip(`tuntap add dev ${name} mode tap`)
  return names
}

/** Has a process attached to this tap? The kernel says that there is a carrier. */
function isHeld(name: string): boolean {
  ip(`link set ${name} up`)
  const { stdout } = spawnSync('ip', ['link', 'show', name], { encoding: 'utf8' })
  return stdout.includes('LOWER_UP')
}

const ip = (words: string): void => run(['ip', ...words.split(' ')])

function run(words: string[]): void {
  const { status, stderr, error } = spawnSync(words[0], words.slice(1), { encoding: 'utf8' })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${words.join(' ')}: ${stderr.trim()}`)
}

/** Starts a program and waits until it has printed `ready`. */
export async function startReady(words: string[], options: SpawnOptions): Promise<ChildProcess> {
  const child = spawn(words[0], words.slice(1), {
    ...options,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout!.setEncoding('utf8').on('data', more => (text += more))
  while (!text.includes('ready')) {
    if (child.exitCode !== null) throw new Error(`${words.join(' ')} ended: ${text}`)
    await delay(10)
  }
  return child
}
