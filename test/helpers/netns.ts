// Network namespaces of the kernel, each a host of its own, made by a test and removed with it. Needs root.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

import type { Test } from 'tap'

import { start, type Program } from './program.ts'

/** Why there can be no interfaces of the kernel here; undefined: there can. */
export const noTaps: string | undefined =
  process.geteuid?.() !== 0
    ? 'only root can make network interfaces'
    : !existsSync('/dev/net/tun')
      ? 'there is no /dev/net/tun'
      : undefined

let count = 0
/** A name that no other test has: interfaces and namespaces are everybody's. */
export const uniqueName = (what: string) => `${what}${process.pid}${String.fromCharCode(97 + count++ % 26)}`.slice(-15) // prettier-ignore

export const ip = (...args: string[]) =>
  execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] })

export class Namespace {
  readonly name: string
  readonly #test: Test

  constructor(t: Test) {
    this.#test = t
    this.name = uniqueName('ioth')
    ip('netns', 'add', this.name)
    t.teardown(() => ip('netns', 'del', this.name))
    this.ip('link', 'set', 'lo', 'up')
  }

  ip(...args: string[]) {
    return ip('-n', this.name, ...args)
  }

  /** Takes an interface out of this process's namespace, gives it addresses, brings it up. */
  adopt(name: string, ...addresses: string[]): void {
    ip('link', 'set', name, 'netns', this.name)
    for (const address of addresses) this.ip('addr', 'add', address, 'dev', name, ...(address.includes(':') ? ['nodad'] : [])) // prettier-ignore
    this.ip('link', 'set', name, 'up')
  }

  /** Runs a program in it; gives what it prints. Throws if it fails. */
  async run(command: string, ...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.start(command, ...args).ends(60_000)
    if (status !== 0) throw new Error(`${command} ended with ${status}: ${stdout}${stderr}`)
    return stdout
  }

  start(command: string, ...args: string[]): Program {
    return start(this.#test, 'ip', ['netns', 'exec', this.name, command, ...args])
  }
}

/** A tap that goes with the test, wherever it is then. */
export function makeTap(t: Test): string {
  const name = uniqueName('tap')
  ip('tuntap', 'add', name, 'mode', 'tap')
  // Who holds it may take it along at this moment.
  t.teardown(() => void spawnSync('ip', ['link', 'del', name]))
  return name
}
