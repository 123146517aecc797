// The stub resolver: names to addresses and back, as glibc's with "hosts: files dns" would have it. Nothing waits in here but as state:
// questions come in with a function to be told, run() says when it wants to be called next.
import type { Address } from '../wire/address.ts'
import { isName } from '../wire/domain-name.ts'
import { Cache } from './cache.ts'
import type { Carrier } from './carrier.ts'
import { newCounters } from './counters.ts'
import { Exchange, type Ground } from './exchange.ts'
import { type Host, Hosts, localhost } from './hosts.ts'
import * as M from './message.ts'
import type { ResolvConf } from './resolv-conf.ts'

/** Questions on their way at once; more are turned away. */
const MOST_EXCHANGES = 512
const MAX_NAME = 255

/** netdb.h's h_errno. */
export const HOST_NOT_FOUND = 1
export const TRY_AGAIN = 2
export const NO_RECOVERY = 3
export const NO_DATA = 4

/** A host, or an h_errno. */
export type Told = (answer: Host | number, now: number) => void
/** What a server said, if one did, and an h_errno; 0: it is an answer. */
export type ToldRaw = (message: Uint8Array | undefined, hErrno: number, now: number) => void
type Heard = (found: M.Found, now: number) => void

export class Resolver {
  readonly counters = newCounters()
  private readonly ground: Ground
  private readonly cache = new Cache()
  private conf: ResolvConf
  private hosts = new Hosts('')
  private readonly exchanges = new Set<Exchange>()
  /** Who else wants to know what is being asked. */
  private readonly asked = new Map<string, Heard[]>()
  private turn = 0

  constructor(carrier: Carrier, random: () => number, conf: ResolvConf) {
    this.ground = { carrier, counters: this.counters, random }
    this.conf = conf
  }

  /** From now on; what is being asked goes on as it was. Other servers may know another truth. */
  configure(conf: ResolvConf, hosts: Hosts): void {
    const same =
      conf.servers.length === this.conf.servers.length &&
      conf.servers.every((server, i) => server.equals(this.conf.servers[i]))
    if (!same) this.cache.clear()
    this.conf = conf
    this.hosts = hosts
  }

  /** Deadlines. When to call again. */
  run(now: number): number {
    let next = Infinity
    for (const exchange of [...this.exchanges]) if (exchange.deadline <= now) exchange.expire(now)
    for (const { deadline } of this.exchanges) next = Math.min(next, deadline)
    return next
  }

  // ---- names to addresses

  /** The addresses of a family (0: both) of `name`: the hosts file's, or what the search list leads to. */
  lookup(name: string, family: 0 | 4 | 6, now: number, told: Told): void {
    const known = this.hosts.find(name, family) ?? localhost(name, family)
    if (known !== undefined) return told(known, now)
    const candidates = this.candidates(name)
    if (candidates.length === 0) return told(HOST_NOT_FOUND, now)
    this.lookupNext(name, candidates, family, [], now, told)
  }

  private lookupNext(
    asked: string,
    [name, ...others]: readonly string[],
    family: 0 | 4 | 6,
    failures: readonly Failure[],
    now: number,
    told: Told,
  ): void {
    this.bothFamilies(name, family, now, (found, now) => {
      const addresses = found.flatMap(one => one.addresses)
      if (addresses.length > 0) return told(hostOf(found, addresses), now)
      const failure = { asIs: name === asked, hErrno: failureOf(found) }
      const silent = found.some(({ status }) => status === 'failed')
      const left = silent && !failure.asIs ? others.filter(other => other === asked) : others
      if (left.length === 0) told(verdict([...failures, failure]), now)
      else this.lookupNext(asked, left, family, [...failures, failure], now, told)
    })
  }

  /** A and AAAA, together or one after the other. */
  private bothFamilies(
    name: string,
    family: 0 | 4 | 6,
    now: number,
    heard: (found: readonly M.Found[], now: number) => void,
  ): void {
    const types: M.LookupType[] = []
    if (family !== 6) types.push(M.TYPE_A)
    if (family !== 4 && !this.conf.noAaaa) types.push(M.TYPE_AAAA)
    const found: M.Found[] = []
    if (types.length === 0) return heard([{ ...M.FAILED, status: 'no-data' }], now)
    const ask = (i: number, now: number) =>
      this.ask(name, types[i], now, (one, now) => {
        found[i] = one
        if (this.conf.singleRequest && i + 1 < types.length && found[i + 1] === undefined)
          return ask(i + 1, now)
        if (types.every((_, k) => found[k] !== undefined)) heard(found, now)
      })
    ask(0, now)
    if (!this.conf.singleRequest) for (let i = 1; i < types.length; i++) ask(i, now)
  }

  /** What to ask for, in this order (res_search(3)). */
  private candidates(name: string): string[] {
    if (name.length > MAX_NAME || !isName(name)) return []
    if (name.endsWith('.')) return [name.slice(0, -1)]
    const dots = name.split('.').length - 1
    const searched = this.conf.search
      .map(domain => `${name}.${domain.replace(/\.$/, '')}`)
      .filter(isName)
    return dots >= this.conf.ndots ? [name, ...searched] : [...searched, name]
  }

  // ---- addresses to names

  reverse(address: Address, now: number, told: Told): void {
    const known = this.hosts.findAddress(address)
    if (known !== undefined) return told(known, now)
    this.ask(M.reverseName(address), M.TYPE_PTR, now, (found, now) => {
      const [canonical, ...aliases] = found.names
      if (canonical === undefined) return told(failureOf([found]), now)
      told({ canonical, aliases, addresses: [address] }, now)
    })
  }

  // ---- any question

  /** res_query(3), or with `search` res_search(3). */
  query(
    name: string,
    klass: number,
    type: number,
    search: boolean,
    now: number,
    told: ToldRaw,
  ): void {
    const candidates = search ? this.candidates(name) : [name]
    if (candidates.length === 0) return told(undefined, NO_RECOVERY, now)
    this.queryNext(name, candidates, klass, type, [], now, told)
  }

  private queryNext(
    asked: string,
    [name, ...others]: readonly string[],
    klass: number,
    type: number,
    failures: readonly Failure[],
    now: number,
    told: ToldRaw,
  ): void {
    const query = M.makeQuery(name, type, klass, this.conf)
    if (query === undefined) return told(undefined, NO_RECOVERY, now)
    this.exchange(query, this.conf.edns0, now, (message, now) => {
      const hErrno = message === undefined ? TRY_AGAIN : rawFailure(message)
      if (hErrno === 0) return told(message, 0, now)
      const failure = { asIs: name === asked, hErrno }
      const left = message === undefined && !failure.asIs ? others.filter(o => o === asked) : others
      if (left.length === 0) told(message, verdict([...failures, failure]), now)
      else this.queryNext(asked, left, klass, type, [...failures, failure], now, told)
    })
  }

  /** res_send(3): a query of the program's own making. */
  send(query: Uint8Array, now: number, told: ToldRaw): void {
    if (M.questionEnd(query) < 0) return told(undefined, NO_RECOVERY, now)
    this.exchange(query, false, now, (message, now) =>
      told(message, message === undefined ? TRY_AGAIN : 0, now),
    )
  }

  // ---- asking

  /** From memory, or of the servers, once for all who want to know. */
  private ask(name: string, type: M.LookupType, now: number, heard: Heard): void {
    const known = this.cache.find(name, type, now)
    if (known !== undefined) {
      this.counters.cached++
      return heard(known, now)
    }
    const key = `${type} ${name.toLowerCase()}`
    const others = this.asked.get(key)
    if (others !== undefined) return void others.push(heard)
    const query = M.makeQuery(name, type, M.CLASS_IN, this.conf)
    if (query === undefined) return heard({ ...M.FAILED, status: 'no-name' }, now)
    const waiting = [heard]
    this.asked.set(key, waiting)
    this.exchange(query, this.conf.edns0, now, (message, now) => {
      const found = message === undefined ? M.FAILED : M.read(message, name, type)
      if (found === undefined) this.counters.malformed++
      else this.cache.add(name, type, found, now)
      this.asked.delete(key)
      for (const tell of waiting) tell(found ?? M.FAILED, now)
    })
  }

  private exchange(
    query: Uint8Array,
    hasEdns: boolean,
    now: number,
    done: (message: Uint8Array | undefined, now: number) => void,
  ): void {
    if (this.exchanges.size >= MOST_EXCHANGES) {
      this.counters.refused++
      return done(undefined, now)
    }
    const { conf } = this
    const first = conf.rotate ? this.turn++ : 0
    const exchange = new Exchange(this.ground, conf, first, query, hasEdns, (message, now) => {
      this.exchanges.delete(exchange)
      if (message !== undefined && !conf.trustAd) M.clearAd(message)
      done(message, now)
    })
    this.exchanges.add(exchange)
    exchange.start(now)
  }
}

/** The canonical name is the first answer's that has one. */
function hostOf(found: readonly M.Found[], addresses: readonly Address[]): Host {
  const { canonical, aliases } = found.find(one => one.addresses.length > 0)!
  return { canonical, aliases, addresses }
}

/** No answer to one of two questions may hide the answer to it. */
function failureOf(found: readonly M.Found[]): number {
  if (found.some(({ status }) => /failed/.test(status))) return TRY_AGAIN
  return found.some(({ status }) => status !== 'no-name') ? NO_DATA : HOST_NOT_FOUND
}

interface Failure {
  /** The name was asked for as it is. */
  readonly asIs: boolean
  readonly hErrno: number
}

/** Of names tried one after the other (res_search(3)): what the name as it is met with, if that came first. */
function verdict(failures: readonly Failure[]): number {
  const [first] = failures
  if (first.asIs) return first.hErrno
  const has = (hErrno: number) => failures.some(failure => failure.hErrno === hErrno)
  return [NO_DATA, TRY_AGAIN, NO_RECOVERY].find(has) ?? HOST_NOT_FOUND
}

function rawFailure(message: Uint8Array): number {
  switch (M.rcode(message)) {
    case 0:
      return M.answerCount(message) > 0 ? 0 : NO_DATA
    case M.NXDOMAIN:
      return HOST_NOT_FOUND
    case M.SERVFAIL:
      return TRY_AGAIN
    default:
      return NO_RECOVERY
  }
}
