// Names for the programs of one stack: their questions come as calls, and the files that tell of names are shown as the
// stack has them. The resolver asks over the stack itself.
import { readFileSync } from 'node:fs'
import { EINVAL } from '../base/errno.ts'
import type { Obtained } from '../conf/configuration.ts'
import { AF_INET, AF_INET6 } from '../ffi/libc.ts'
import { Hosts, hostsText, type Host } from '../names/hosts.ts'
import { resolvConf, resolvConfText } from '../names/resolv-conf.ts'
import { Resolver } from '../names/resolver.ts'
import { StackCarrier } from '../names/stack-carrier.ts'
import * as A from '../shm/layout.ts'
import { LATER, type Call, type Calls } from '../sockets/calls.ts'
import type { LongAnswers } from '../sockets/long-answers.ts'
import type { Stack } from '../stack/stack.ts'
import { Address, isLinkLocal } from '../wire/address.ts'
import { parsePrefix } from '../wire/address-text.ts'
import type { Show } from './services.ts'

const DEVICE = 'eth0'
const NOTHING = new Uint8Array(0)
const SORTED = 1
const SEARCHED = 1

export class NameService {
  readonly files: ReadonlyMap<string, Show>
  private readonly stack: Stack
  private readonly calls: Calls
  private readonly answers: LongAnswers
  private readonly carrier: StackCarrier
  private readonly resolver: Resolver
  private readonly hostname: string | undefined
  private readonly hostFile = readFile('/etc/hosts')
  private obtained: Obtained | undefined
  private hosts = ''
  /** Calls that wait for a server, by block: which one of the block's many. */
  private readonly waiting = new Map<number, symbol>()

  constructor(
    stack: Stack,
    calls: Calls,
    answers: LongAnswers,
    random: () => number,
    hostname: string | undefined,
  ) {
    this.stack = stack
    this.calls = calls
    this.answers = answers
    this.hostname = hostname
    this.carrier = new StackCarrier(stack)
    this.resolver = new Resolver(this.carrier, random, resolvConf([], [], []))
    this.files = new Map<string, Show>([
      ['/etc/resolv.conf', () => this.resolvConf],
      ['/etc/hosts', () => this.hosts],
      ['/etc/hostname', () => hostname && `${hostname}\n`],
    ])
  }

  configure(obtained: Obtained): void {
    this.obtained = obtained
    const { dns, search, dnsOptions, addresses } = obtained
    const own = addresses
      .map(text => parsePrefix(text)!.address)
      .filter(address => !isLinkLocal(address))
    this.hosts = hostsText(this.hostFile, this.hostname, own)
    this.resolver.configure(resolvConf(dns, search, dnsOptions), new Hosts(this.hosts))
  }

  run(now: number): void {
    this.carrier.run(now)
    this.deadline = this.resolver.run(now)
  }

  private deadline = Infinity

  next(now: number): number {
    return this.carrier.isIdle ? this.deadline : now
  }

  changed(tcb: number, events: number, now: number): boolean {
    return this.carrier.changed(tcb, events, now)
  }

  forget(block: number): void {
    this.waiting.delete(block)
  }

  serve(call: Call, now: number): number | undefined {
    switch (call.op) {
      case A.OP_FAMILIES:
        return this.ownFamilies()
      case A.OP_LOOKUP:
        return this.lookup(call, now)
      case A.OP_REVERSE:
        return this.reverse(call, now)
      case A.OP_QUERY: {
        const [klass, type, search] = call.arg
        const tell = this.putOff(call)
        this.resolver.query(
          text(call),
          klass & 0xffff,
          type & 0xffff,
          search === SEARCHED,
          now,
          tell,
        )
        return this.outcome()
      }
      case A.OP_SEND:
        this.resolver.send(call.data.slice(0, call.length), now, this.putOff(call))
        return this.outcome()
      default:
        return undefined
    }
  }

  private lookup(call: Call, now: number): number {
    const [af, flags] = call.arg
    const family = familyOf(af)
    if (family === undefined) return -EINVAL
    const sorted = (flags & SORTED) !== 0
    const tell = this.putOff(call)
    this.resolver.lookup(text(call), family, now, (answer, now) => {
      if (typeof answer === 'number') return tell(undefined, answer, now)
      tell(packHost(sorted ? this.sort(answer) : answer), 0, now)
    })
    return this.outcome()
  }

  private reverse(call: Call, now: number): number {
    const family = familyOf(call.arg[0])
    const length = family === 4 ? 4 : 16
    if (family === undefined || family === 0 || call.length !== length) return -EINVAL
    const address = Address.read(call.data, 0, length)
    const tell = this.putOff(call)
    this.resolver.reverse(address, now, (answer, now) =>
      typeof answer === 'number' ? tell(undefined, answer, now) : tell(packHost(answer), 0, now),
    )
    return this.outcome()
  }

  private sort(host: Host): Host {
    return { ...host, addresses: this.stack.sortDestinations(host.addresses) }
  }

  /** Beside loopback: glibc's AI_ADDRCONFIG. */
  private ownFamilies(): number {
    const addresses = this.obtained?.addresses ?? []
    const has = (v4: boolean) => addresses.some(text => parsePrefix(text)!.address.isV4 === v4)
    return (has(true) ? A.FAMILIES_V4 : 0) | (has(false) ? A.FAMILIES_V6 : 0)
  }

  // ---- answers now and later

  private begun: { result: number } | undefined

  /** For a question that may be answered within the call, or later: what is to be told. Then comes outcome(). */
  private putOff(
    call: Call,
  ): (message: Uint8Array | undefined, hErrno: number, now: number) => void {
    const { block } = call
    const ticket = Symbol('call')
    const begun: { result: number } = { result: LATER }
    this.begun = begun
    this.waiting.set(block, ticket)
    return (message = NOTHING, hErrno) => {
      // The caller has given up, and the block is perhaps another's.
      if (this.waiting.get(block) !== ticket) return
      this.waiting.delete(block)
      if (this.begun === begun) {
        begun.result = this.answers.give(call, message)
        call.arg[1] = hErrno
        return
      }
      const { data, arg0 } = this.answers.begin(message)
      this.calls.answerWith(block, message.length, data, arg0, hErrno)
    }
  }

  private outcome(): number {
    const { result } = this.begun!
    this.begun = undefined
    return result
  }

  private get resolvConf(): string {
    const { dns = [], search = [], dnsOptions = [] } = this.obtained ?? {}
    return resolvConfText(dns, search, dnsOptions, DEVICE)
  }
}

const text = (call: Call) =>
  Buffer.from(call.data.buffer, call.data.byteOffset, call.length).toString('latin1')

const familyOf = (af: number): 0 | 4 | 6 | undefined =>
  af === 0 ? 0 : af === AF_INET ? 4 : af === AF_INET6 ? 6 : undefined

/** struct abi_host and what follows it. */
function packHost({ canonical, aliases, addresses }: Host): Uint8Array {
  const names = Buffer.from([canonical, ...aliases].map(name => `${name}\0`).join(''), 'latin1')
  const at = A.HOST_SIZE + addresses.length * A.HOST_ADDRESS_SIZE
  const bytes = new Uint8Array(at + names.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(A.HOST.addresses, addresses.length, true)
  view.setUint32(A.HOST.names, 1 + aliases.length, true)
  for (const [i, address] of addresses.entries()) {
    const entry = A.HOST_SIZE + i * A.HOST_ADDRESS_SIZE
    view.setUint32(entry + A.HOST_ADDRESS.family, address.isV4 ? AF_INET : AF_INET6, true)
    const whole = new Uint8Array(16)
    address.write(whole, 0)
    bytes.set(address.isV4 ? whole.subarray(12) : whole, entry + A.HOST_ADDRESS.addr)
  }
  bytes.set(names, at)
  return bytes
}

/** Empty where it cannot be read: then the host has none. */
function readFile(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    return ''
  }
}
