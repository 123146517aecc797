// Joining and leaving groups, and source filters (RFC 3376 section 2, RFC 3678), with Linux's answers. They give 0 or a
// negative errno.
import { EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENOBUFS } from '../../../base/errno.ts'
import type { Address } from '../../../wire/address.ts'
import { type FilterMode, type Groups, has } from '../../net/groups.ts'
import { Membership } from './endpoint.ts'

/** Who is in groups. */
export interface Member {
  readonly family: 4 | 6
  readonly memberships: Membership[]
}

/** One filter names at most so many. */
const MAX_SOURCES = 64

/** IP_ADD_MEMBERSHIP, IPV6_JOIN_GROUP: from any source. */
export function join(groups: Groups, endpoint: Member, group: Address): number {
  return start(groups, endpoint, group, 'EXCLUDE', [])
}

/** IP_DROP_MEMBERSHIP, IPV6_LEAVE_GROUP. */
export function leave(groups: Groups, endpoint: Member, group: Address): number {
  const membership = find(endpoint, group)
  return membership === undefined ? -EADDRNOTAVAIL : end(groups, endpoint, membership)
}

/** IP_ADD_SOURCE_MEMBERSHIP, MCAST_JOIN_SOURCE_GROUP. */
export function joinSource(
  groups: Groups,
  endpoint: Member,
  group: Address,
  source: Address,
): number {
  if (find(endpoint, group) === undefined)
    return start(groups, endpoint, group, 'INCLUDE', [source])
  return addSource(groups, endpoint, group, source, 'INCLUDE')
}

/** IP_DROP_SOURCE_MEMBERSHIP: the last source ends the membership. */
export function leaveSource(
  groups: Groups,
  endpoint: Member,
  group: Address,
  source: Address,
): number {
  return removeSource(groups, endpoint, group, source, 'INCLUDE')
}

/** IP_BLOCK_SOURCE. */
export function block(groups: Groups, endpoint: Member, group: Address, source: Address): number {
  return addSource(groups, endpoint, group, source, 'EXCLUDE')
}

/** IP_UNBLOCK_SOURCE. */
export function unblock(groups: Groups, endpoint: Member, group: Address, source: Address): number {
  return removeSource(groups, endpoint, group, source, 'EXCLUDE')
}

/** IP_MSFILTER: all at once. */
export function setFilter(
  groups: Groups,
  endpoint: Member,
  group: Address,
  mode: FilterMode,
  sources: readonly Address[],
): number {
  const membership = find(endpoint, group)
  if (membership === undefined) return -EINVAL
  if (sources.length > MAX_SOURCES) return -ENOBUFS
  if (mode === 'INCLUDE' && sources.length === 0) return end(groups, endpoint, membership)
  membership.mode = mode
  membership.sources = sources
  groups.changed(membership)
  return 0
}

export function leaveAll(groups: (group: Address) => Groups, endpoint: Member): void {
  for (const membership of endpoint.memberships) groups(membership.group).remove(membership)
  endpoint.memberships.length = 0
}

const find = (endpoint: Member, group: Address): Membership | undefined =>
  endpoint.memberships.find(membership => membership.group.equals(group))

function start(
  groups: Groups,
  endpoint: Member,
  group: Address,
  mode: FilterMode,
  sources: readonly Address[],
): number {
  if (!group.isMulticast || (endpoint.family === 4 && !group.isV4)) return -EINVAL
  if (find(endpoint, group) !== undefined) return -EADDRINUSE
  const membership = new Membership(group, mode, sources)
  const result = groups.add(membership)
  if (result === 0) endpoint.memberships.push(membership)
  return result
}

function end(groups: Groups, endpoint: Member, membership: Membership): number {
  endpoint.memberships.splice(endpoint.memberships.indexOf(membership), 1)
  groups.remove(membership)
  return 0
}

/** The mode may change as long as no source is named. */
function addSource(
  groups: Groups,
  endpoint: Member,
  group: Address,
  source: Address,
  mode: FilterMode,
): number {
  const membership = find(endpoint, group)
  if (membership === undefined) return -EINVAL
  if (membership.mode !== mode && membership.sources.length > 0) return -EINVAL
  if (has(membership.sources, source)) return -EADDRNOTAVAIL
  if (membership.sources.length >= MAX_SOURCES) return -ENOBUFS
  membership.mode = mode
  membership.sources = [...membership.sources, source]
  groups.changed(membership)
  return 0
}

function removeSource(
  groups: Groups,
  endpoint: Member,
  group: Address,
  source: Address,
  mode: FilterMode,
): number {
  const membership = find(endpoint, group)
  if (membership === undefined) return -EINVAL
  if (membership.mode !== mode && membership.sources.length > 0) return -EINVAL
  if (!has(membership.sources, source)) return -EADDRNOTAVAIL
  const left = membership.sources.filter(other => !other.equals(source))
  if (left.length === 0 && mode === 'INCLUDE') return end(groups, endpoint, membership)
  membership.sources = left
  groups.changed(membership)
  return 0
}
