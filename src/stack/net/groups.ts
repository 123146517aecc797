// The groups that an interface hears, of one family: what all who listen want, merged (RFC 3376 section 3, RFC 3810
// section 4). Each listener has a filter of its own for each group; `onChange` tells IGMP or MLD when the sum changed.
import { ENOBUFS } from '../../base/errno.ts'
import type { Address } from '../../wire/address.ts'
import type { Packet } from './path.ts'

/** What of a packet counts here. */
type Addressed = Pick<Packet, 'srcWord' | 'dstWord'>

/** INCLUDE: only from these sources. EXCLUDE: from all but these. */
export type FilterMode = 'INCLUDE' | 'EXCLUDE'

/** One listener's wish for one group; after a change of mode or sources, tell Groups.changed(). */
export interface GroupFilter {
  readonly group: Address
  mode: FilterMode
  sources: readonly Address[]
}

const MAX_GROUPS = 10_000

/** What is asked of the network for one group: nothing, when the mode is INCLUDE and there are no sources. */
export class Group {
  readonly address: Address
  mode: FilterMode = 'INCLUDE'
  sources: readonly Address[] = []
  readonly filters: GroupFilter[] = []

  constructor(address: Address) {
    this.address = address
  }

  /** Anything from anywhere. */
  get isWanted(): boolean {
    return this.mode === 'EXCLUDE' || this.sources.length > 0
  }
}

export class Groups {
  /** By the address's last word: those of one list differ in the others. */
  private readonly byWord = new Map<number, Group[]>()
  private count = 0
  /** What is wanted of `group` has changed from `mode` and `sources`. */
  onChange: (group: Group, mode: FilterMode, sources: readonly Address[]) => void = () => {}

  get size(): number {
    return this.count
  }

  /** Those that are wanted by anyone. */
  *all(): Iterable<Group> {
    for (const list of this.byWord.values()) yield* list
  }

  /** 0, or -ENOBUFS: too many. */
  add(filter: GroupFilter): number {
    let group = this.find(filter.group)
    if (group === undefined) {
      if (this.count >= MAX_GROUPS) return -ENOBUFS
      group = new Group(filter.group)
      const list = this.byWord.get(filter.group.d)
      if (list === undefined) this.byWord.set(filter.group.d, [group])
      else list.push(group)
      this.count++
    }
    group.filters.push(filter)
    this.merge(group)
    return 0
  }

  changed(filter: GroupFilter): void {
    this.merge(this.find(filter.group)!)
  }

  remove(filter: GroupFilter): void {
    const group = this.find(filter.group)!
    group.filters.splice(group.filters.indexOf(filter), 1)
    if (group.filters.length === 0) {
      const list = this.byWord.get(filter.group.d)!
      list.splice(list.indexOf(group), 1)
      if (list.length === 0) this.byWord.delete(filter.group.d)
      this.count--
    }
    this.merge(group)
  }

  find(address: Address): Group | undefined {
    const list = this.byWord.get(address.d)
    return list?.find(group => group.address.equals(address))
  }

  /** Does anybody here want this packet, which is for a group? */
  wants(packet: Addressed): boolean {
    const group = this.groupOf(packet)
    return group !== undefined && admits(group, packet)
  }

  /** Does anybody want what is for this packet's group, from whomever? */
  has(packet: Addressed): boolean {
    return this.groupOf(packet)?.isWanted === true
  }

  private groupOf(packet: Addressed): Group | undefined {
    const list = this.byWord.get(packet.dstWord(3))
    if (list === undefined) return undefined
    for (const group of list) if (isDst(group.address, packet)) return group
    return undefined
  }

  /** RFC 3376 section 3.2. */
  private merge(group: Group): void {
    const { mode, sources, filters } = group
    const excluding = filters.filter(filter => filter.mode === 'EXCLUDE')
    const included = filters.filter(filter => filter.mode === 'INCLUDE').flatMap(f => f.sources)
    if (excluding.length > 0) {
      group.mode = 'EXCLUDE'
      group.sources = excluding[0].sources.filter(
        source => excluding.every(f => has(f.sources, source)) && !has(included, source),
      )
    } else {
      group.mode = 'INCLUDE'
      group.sources = included.filter(
        (source, i) => included.findIndex(s => s.equals(source)) === i,
      )
    }
    if (mode !== group.mode || !sameSources(sources, group.sources))
      this.onChange(group, mode, sources)
  }
}

/** Does the filter let the packet's source through? */
export function admits(
  filter: { readonly mode: FilterMode; readonly sources: readonly Address[] },
  packet: Addressed,
): boolean {
  for (const source of filter.sources) if (isSrc(source, packet)) return filter.mode === 'INCLUDE'
  return filter.mode === 'EXCLUDE'
}

export const has = (sources: readonly Address[], source: Address): boolean =>
  sources.some(other => other.equals(source))

const sameSources = (a: readonly Address[], b: readonly Address[]): boolean =>
  a.length === b.length && a.every(source => has(b, source))

/** Compared by words: the packet has no objects. */
export const isSrc = (a: Address, p: Addressed): boolean =>
  a.d === p.srcWord(3) && a.c === p.srcWord(2) && a.b === p.srcWord(1) && a.a === p.srcWord(0)
export const isDst = (a: Address, p: Addressed): boolean =>
  a.d === p.dstWord(3) && a.c === p.dstWord(2) && a.b === p.dstWord(1) && a.a === p.dstWord(0)
