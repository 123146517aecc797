// What a host says of the groups that it hears: IGMPv3 (RFC 3376 section 5) and MLDv2 (RFC 3810 section 6) are one protocol
// in two notations. Changes are told at once and again, `robustness` times in all; queries are answered after a random
// delay, so that many hosts do not answer at once. Towards a querier of an older version we speak that version
// (RFC 3376 section 7.2, RFC 3810 section 8.2).
import type { Address } from '../../wire/address.ts'
import {
  ALLOW_NEW_SOURCES,
  BLOCK_OLD_SOURCES,
  CHANGE_TO_EXCLUDE,
  CHANGE_TO_INCLUDE,
  type GroupRecord,
  MODE_IS_EXCLUDE,
  MODE_IS_INCLUDE,
} from '../../wire/group-record.ts'
import { type FilterMode, type Group, type Groups, has } from './groups.ts'

/** The notation. */
export interface ReportWire {
  /** Is this group told of at all? */
  isReported(group: Address): boolean
  /** Bytes of records that one report takes: `recordLength` each, and `sourceLength` for each source. */
  readonly room: number
  readonly recordLength: number
  readonly sourceLength: number
  /** One report; false: the link has no room. */
  report(records: readonly GroupRecord[]): boolean
  /**
   * The older versions' (1 is the oldest); `leave` is not asked for where the version has none. They are lost when the
   * link has no room.
   */
  oldReport(version: number, group: Address): void
  oldLeave(group: Address): void
}

export interface Query {
  /** Undefined: all groups. */
  readonly group: Address | undefined
  readonly sources: readonly Address[]
  /** ms */
  readonly maxResponse: number
  /** The newest (3 for IGMP, 2 for MLD) or an older one. */
  readonly version: number
  /** 0: not said. `interval` in seconds. */
  readonly robustness: number
  readonly interval: number
}

/** RFC 3376 section 8, RFC 3810 section 9; ms. */
const ROBUSTNESS = 2
const QUERY_INTERVAL = 125_000
const UNSOLICITED_REPORT_INTERVAL = 1_000
const OLD_UNSOLICITED_REPORT_INTERVAL = 10_000
/** Whoever asks for answers at once, again and again, gets one in so many ms. */
const MIN_RESPONSE = 200
/** When the link has no room. */
const RETRY = 10
/** Sources that are asked for one by one; more, and the answer is for all. */
const MAX_QUERIED = 64

/** Who joins and leaves all the time is not told of in full; the next query is. */
const MAX_PENDING = 10_000

/** What is to be said of one group. */
interface Pending {
  readonly address: Address
  /** Times that the filter mode is still to be told, or each source. */
  modeLeft: number
  readonly sources: { readonly source: Address; left: number }[]
  /** The answer to a query is due, about these sources (none: all). */
  answerAt: number
  queried: Address[]
  /** Older versions: when the membership is told again. */
  repeatAt: number
}

export class ListenerReports {
  private readonly groups: Groups
  private readonly wire: ReportWire
  private readonly newest: number
  /** Older versions need not be told of a leave: 1 of IGMP. */
  private readonly canLeave: (version: number) => boolean
  private readonly random: () => number
  private readonly pending = new Map<string, Pending>()
  private changesAt = Infinity
  private quietUntil = -Infinity
  private answerAllAt = Infinity
  /** Records for which there was no room yet. */
  private waiting: readonly GroupRecord[] = []
  private retryAt = Infinity
  private robustness = ROBUSTNESS
  private interval = QUERY_INTERVAL
  private up = false
  /** Until when a querier of each older version is thought to be there. */
  private readonly olderUntil: number[] = []
  private version: number
  /** No earlier is there anything to do. */
  private soonest = Infinity

  constructor(
    groups: Groups,
    wire: ReportWire,
    newest: number,
    canLeave: (version: number) => boolean,
    random: () => number,
  ) {
    this.groups = groups
    this.wire = wire
    this.newest = newest
    this.canLeave = canLeave
    this.random = random
    this.version = newest
  }

  get next(): number {
    return this.soonest
  }

  /** Groups.onChange: told from the next run() on. */
  changed(group: Group, mode: FilterMode, sources: readonly Address[]): void {
    if (!this.up || !this.wire.isReported(group.address)) return
    const pending = this.pend(group.address)
    if (mode !== group.mode) {
      pending.modeLeft = this.robustness
      pending.sources.length = 0
    } else {
      const differing = [
        ...sources.filter(source => !has(group.sources, source)),
        ...group.sources.filter(source => !has(sources, source)),
      ]
      for (const source of differing) this.changedSource(pending, source)
    }
    this.changesAt = this.soonest = -Infinity
  }

  /** Another link: it has heard of nothing. */
  linkUp(): void {
    this.up = true
    for (const group of this.groups.all())
      if (this.wire.isReported(group.address) && group.isWanted)
        this.pend(group.address).modeLeft = this.robustness
    this.olderUntil.length = 0
    this.version = this.newest
    this.changesAt = this.soonest = -Infinity
  }

  linkDown(): void {
    this.up = false
    this.pending.clear()
    this.waiting = []
    this.changesAt = this.answerAllAt = this.retryAt = this.soonest = Infinity
  }

  /** Section 5.2: a pending answer to all is soon enough for everything. */
  queryArrives(query: Query, now: number): void {
    const { group, sources, version } = query
    if (query.robustness > 0) this.robustness = query.robustness
    if (query.interval > 0) this.interval = query.interval * 1000
    if (version < this.newest) this.heardOlder(version, query, now)
    this.updateVersion(now)
    const at = this.answerTime(query, now)
    if (this.answerAllAt <= at) return
    if (group === undefined) {
      if (this.version === this.newest) this.answerAllAt = at
      // Each group has a delay of its own (RFC 2236 section 3).
      else
        for (const { address } of this.wanted())
          this.answer(address, [], this.answerTime(query, now))
    } else if (this.groups.find(group)?.isWanted === true && this.wire.isReported(group))
      this.answer(group, sources, at)
    this.reschedule()
  }

  /** Another host told an older querier of this group: that is enough (RFC 2236 section 3). */
  reportHeard(group: Address): void {
    const pending = this.pending.get(keyOf(group))
    if (pending === undefined || this.version === this.newest) return
    pending.answerAt = Infinity
    pending.repeatAt = Infinity
    this.reschedule()
  }

  run(now: number): void {
    if (now < this.soonest) return
    this.updateVersion(now)
    if (this.version === this.newest) this.runNewest(now)
    else this.runOlder(now)
    for (const [key, p] of this.pending) if (isDone(p)) this.pending.delete(key)
    this.reschedule()
  }

  private runNewest(now: number): void {
    const records = [...this.waiting]
    if (now >= this.answerAllAt) {
      this.answerAllAt = Infinity
      this.quietUntil = now + MIN_RESPONSE
      for (const { address, mode, sources } of this.wanted())
        records.push({ type: typeOf(mode, MODE_IS_INCLUDE), group: address, sources })
    }
    let again = false
    for (const pending of this.pending.values()) {
      if (now >= pending.answerAt) {
        this.addAnswer(records, pending)
        this.quietUntil = now + MIN_RESPONSE
      }
      if (now < this.changesAt) continue
      this.addChanges(records, pending)
      again ||= pending.modeLeft > 0 || pending.sources.length > 0
    }
    if (now >= this.changesAt)
      this.changesAt = again ? now + this.delay(UNSOLICITED_REPORT_INTERVAL) : Infinity
    this.send(records, now)
  }

  /** As many records in each report as it takes. */
  private send(records: readonly GroupRecord[], now: number): void {
    const { wire } = this
    const fitting = records.flatMap(record => this.split(record))
    this.waiting = []
    this.retryAt = Infinity
    for (let start = 0, end = 0; start < fitting.length; start = end) {
      let room = wire.room
      while (end < fitting.length && (room -= this.lengthOf(fitting[end])) >= 0) end++
      if (wire.report(fitting.slice(start, end))) continue
      this.waiting = fitting.slice(start, start + MAX_PENDING)
      this.retryAt = now + RETRY
      return
    }
  }

  /** Of sources that are excluded as many as fit are named, those of others in several records (section 4.2.16). */
  private split(record: GroupRecord): GroupRecord[] {
    const { room, recordLength, sourceLength } = this.wire
    const most = Math.floor((room - recordLength) / sourceLength)
    const { type, group, sources } = record
    if (sources.length <= most) return [record]
    const parts: GroupRecord[] = []
    for (let i = 0; i < sources.length; i += most)
      parts.push({ type, group, sources: sources.slice(i, i + most) })
    return type === MODE_IS_EXCLUDE || type === CHANGE_TO_EXCLUDE ? parts.slice(0, 1) : parts
  }

  private lengthOf({ sources }: GroupRecord): number {
    return this.wire.recordLength + this.wire.sourceLength * sources.length
  }

  private runOlder(now: number): void {
    for (const pending of this.pending.values()) {
      const wanted = this.groups.find(pending.address)?.isWanted === true
      const changed = pending.modeLeft > 0 || pending.sources.length > 0
      const first = changed && now >= this.changesAt
      if (first && !wanted && this.canLeave(this.version)) this.wire.oldLeave(pending.address)
      if (wanted && (first || now >= pending.answerAt || now >= pending.repeatAt))
        this.wire.oldReport(this.version, pending.address)
      if (first && wanted) pending.repeatAt = now + this.delay(OLD_UNSOLICITED_REPORT_INTERVAL)
      else if (!wanted || now >= pending.repeatAt) pending.repeatAt = Infinity
      if (now >= pending.answerAt) this.quietUntil = now + MIN_RESPONSE
      if (!wanted || now >= pending.answerAt) pending.answerAt = Infinity
      if (first) this.forgetChanges(pending)
    }
    if (now >= this.changesAt) this.changesAt = Infinity
  }

  /** Section 5.2: what is asked for and wanted. */
  private addAnswer(records: GroupRecord[], pending: Pending): void {
    const { queried, address } = pending
    pending.answerAt = Infinity
    pending.queried = []
    const group = this.groups.find(address)
    if (group?.isWanted !== true) return
    const { mode, sources } = group
    if (queried.length === 0) {
      records.push({ type: typeOf(mode, MODE_IS_INCLUDE), group: address, sources })
      return
    }
    const heard = queried.filter(source => has(sources, source) === (mode === 'INCLUDE'))
    if (heard.length > 0) records.push({ type: MODE_IS_INCLUDE, group: address, sources: heard })
  }

  /** Section 5.1: the mode first, then the sources that changed. */
  private addChanges(records: GroupRecord[], pending: Pending): void {
    const { address } = pending
    const group = this.groups.find(address)
    const mode = group?.mode ?? 'INCLUDE'
    const sources = group?.sources ?? []
    if (pending.modeLeft > 0) {
      pending.modeLeft--
      records.push({ type: typeOf(mode, CHANGE_TO_INCLUDE), group: address, sources })
      return
    }
    const changed = pending.sources.map(({ source }) => source)
    const heard = (source: Address) => has(sources, source) === (mode === 'INCLUDE')
    const allowed = changed.filter(heard)
    const blocked = changed.filter(source => !heard(source))
    if (allowed.length > 0)
      records.push({ type: ALLOW_NEW_SOURCES, group: address, sources: allowed })
    if (blocked.length > 0)
      records.push({ type: BLOCK_OLD_SOURCES, group: address, sources: blocked })
    for (const entry of pending.sources) entry.left--
    const left = pending.sources.filter(entry => entry.left > 0)
    pending.sources.splice(0, Infinity, ...left)
  }

  private changedSource(pending: Pending, source: Address): void {
    const entry = pending.sources.find(other => other.source.equals(source))
    if (entry !== undefined) entry.left = this.robustness
    else pending.sources.push({ source, left: this.robustness })
  }

  private answerTime({ maxResponse }: Query, now: number): number {
    return Math.max(now + this.delay(Math.max(maxResponse, MIN_RESPONSE)), this.quietUntil)
  }

  private answer(address: Address, sources: readonly Address[], at: number): void {
    const pending = this.pend(address)
    const isPending = pending.answerAt < Infinity
    const all = sources.length === 0 || (isPending && pending.queried.length === 0)
    const merged = [...pending.queried, ...sources.filter(s => !has(pending.queried, s))]
    pending.queried = all || merged.length > MAX_QUERIED ? [] : merged
    pending.answerAt = Math.min(pending.answerAt, at)
  }

  private heardOlder(version: number, query: Query, now: number): void {
    this.olderUntil[version] = now + this.robustness * this.interval + query.maxResponse
  }

  /** Another version: what was to be said in the old one is not said any more (section 7.2.1). */
  private updateVersion(now: number): void {
    let version = 1
    while (version < this.newest && now >= (this.olderUntil[version] ?? -Infinity)) version++
    if (version === this.version) return
    this.version = version
    this.waiting = []
    this.answerAllAt = this.retryAt = Infinity
    for (const pending of this.pending.values()) {
      pending.answerAt = pending.repeatAt = Infinity
      if (now < this.changesAt) this.forgetChanges(pending)
    }
  }

  private forgetChanges(pending: Pending): void {
    pending.modeLeft = 0
    pending.sources.length = 0
  }

  private *wanted(): Iterable<Group> {
    for (const group of this.groups.all())
      if (group.isWanted && this.wire.isReported(group.address)) yield group
  }

  private pend(address: Address): Pending {
    const key = keyOf(address)
    let pending = this.pending.get(key)
    if (pending === undefined) {
      if (this.pending.size >= MAX_PENDING) this.forgetOldest()
      pending = {
        address,
        modeLeft: 0,
        sources: [],
        answerAt: Infinity,
        queried: [],
        repeatAt: Infinity,
      }
      this.pending.set(key, pending)
    }
    return pending
  }

  private forgetOldest(): void {
    for (const key of this.pending.keys()) {
      this.pending.delete(key)
      return
    }
  }

  private reschedule(): void {
    let soonest = Math.min(this.changesAt, this.answerAllAt, this.retryAt)
    for (const { answerAt, repeatAt } of this.pending.values())
      soonest = Math.min(soonest, answerAt, repeatAt)
    this.soonest = soonest
  }

  /** Up to `most` ms. */
  private delay(most: number): number {
    return (most * this.random()) / 2 ** 32
  }
}

const isDone = (p: Pending): boolean =>
  p.modeLeft === 0 && p.sources.length === 0 && p.answerAt === Infinity && p.repeatAt === Infinity

/** The types for INCLUDE are followed by those for EXCLUDE. */
const typeOf = (mode: FilterMode, include: number): number =>
  mode === 'INCLUDE' ? include : include + 1

const keyOf = ({ a, b, c, d }: Address): string => `${a},${b},${c},${d}`
