// A network of ours with a host of the kernel on it: servers run there, programs of ours here. What a program of ours sends
// and gets is captured, and dissected by tshark afterwards.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Test } from 'tap'

import { root, runtime } from './ioth-run.ts'
import { makeTap, Namespace } from './netns.ts'
import { iothStart, start, until, type Program } from './program.ts'

const IOTH = join(root, 'dist/cli/ioth.js')
const NET = 'switch://lab'
/** Frames that a dissector has something against. */
const WRONG = [
  '_ws.malformed',
  ...['ip', 'udp', 'tcp', 'icmp', 'icmpv6'].map(name => `${name}.checksum.status == "Bad"`),
].join(' || ')
const CHECKS = ['ip', 'tcp', 'udp'].flatMap(name => ['-o', `${name}.check_checksum:TRUE`])

export class Lab {
  readonly env: NodeJS.ProcessEnv
  readonly host: Namespace
  readonly tap: string
  readonly #test: Test
  readonly #directory: string
  #captures = 0

  private constructor(t: Test) {
    this.#test = t
    this.#directory = mkdtempSync(join(tmpdir(), 'ioth-lab-'))
    t.teardown(() => rmSync(this.#directory, { recursive: true, force: true }))
    this.env = runtime(t)
    this.tap = makeTap(t)
    this.host = new Namespace(t)
  }

  /** With the host's addresses. */
  static async open(t: Test, ...addresses: string[]): Promise<Lab> {
    const lab = new Lab(t)
    const { tap } = lab
    await lab.#plugIn(tap)
    lab.host.adopt(tap, ...addresses)
    // Nobody can be a router before its link-local address is its own.
    const tentative = () => String(lab.host.ip('-6', 'addr', 'show', 'dev', tap, 'tentative'))
    await until('the link-local address', 10_000, () => tentative() === '')
    return lab
  }

  /** Another host of the kernel's on the network, without an address. */
  async another(): Promise<{ host: Namespace; tap: string }> {
    const tap = makeTap(this.#test)
    const host = new Namespace(this.#test)
    await this.#plugIn(tap)
    host.adopt(tap)
    return { host, tap }
  }

  async #plugIn(tap: string): Promise<void> {
    const cable = start(this.#test, IOTH, ['plug', '--verbose', NET, `tap://${tap}`], {
      env: this.env,
    })
    await until('the cable', 20_000, () => {
      if (cable.over) throw new Error(cable.stderr)
      return cable.stderr.includes('are connected')
    })
  }

  path(name: string): string {
    return join(this.#directory, name)
  }

  write(name: string, text: string): string {
    writeFileSync(this.path(name), text)
    return this.path(name)
  }

  read(name: string): string {
    return readFileSync(this.path(name), 'utf8')
  }

  /** A program of ours, and the file that has its frames. */
  run(...words: string[]): { program: Program; capture: string } {
    const capture = this.path(`${this.#captures++}.pcap`)
    const net = `pcap://${capture}{${NET}}`
    const program = iothStart(this.#test, ['--verbose', '--net', net, ...words], { env: this.env })
    return { program, capture }
  }

  /** The addresses that it got (what ioth-run --verbose prints), once it runs. */
  async obtained(program: Program): Promise<string> {
    await until('ioth-run', 30_000, () => {
      if (program.over) throw new Error(program.stderr)
      return / is .* \(stack .*\n/.test(program.stderr)
    })
    return program.stderr
  }

  /** dnsmasq on the host. Its log is its standard error. */
  async dnsmasq(...words: string[]): Promise<Program> {
    return this.dnsmasqIn(this.host, ...words)
  }

  async dnsmasqIn(host: Namespace, ...words: string[]): Promise<Program> {
    this.write('none', '')
    const fixed = ['--no-daemon', `--conf-file=${this.path('none')}`, '--no-hosts', '--no-resolv']
    const log = ['--log-dhcp', '--log-facility=-', '--user=root', '--pid-file=']
    const leases = `--dhcp-leasefile=${this.path('leases')}`
    const program = host.start('dnsmasq', ...fixed, ...log, leases, ...words)
    await until('dnsmasq', 20_000, () => {
      if (program.over) throw new Error(program.stderr)
      return program.stderr.includes('cleared cache') || program.stderr.includes('DNS disabled')
    })
    return program
  }
}

/** What tshark has against the frames, and the fields of those that a filter lets pass, a line each. */
export function dissect(
  capture: string,
  filter: string,
  ...fields: string[]
): { wrong: string; lines: string[] } {
  const tshark = (...words: string[]) =>
    execFileSync('tshark', ['-r', capture, ...CHECKS, ...words], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
  const wrong = tshark('-Y', WRONG)
  const columns = fields.flatMap(field => ['-e', field])
  const text = tshark('-Y', filter, '-T', 'fields', ...columns)
  return {
    wrong,
    lines: text
      .split('\n')
      .filter(Boolean)
      .map(line => line.replaceAll('\t', ' ').trim()),
  }
}
