// An endpoint's groups, as groups.ts asks for them.
import type { FilterMode, Member, Stack } from '../../stack/stack.ts'
import type { Address } from '../../wire/address.ts'
import type { GroupCalls } from './groups.ts'

export class EndpointGroups implements GroupCalls {
  private readonly stack: Stack
  private readonly member: Member

  constructor(stack: Stack, member: Member) {
    this.stack = stack
    this.member = member
  }

  join(group: Address): number {
    return this.stack.udp.join(this.member, group)
  }
  leave(group: Address): number {
    return this.stack.udp.leave(this.member, group)
  }
  joinSource(group: Address, source: Address): number {
    return this.stack.udp.joinSource(this.member, group, source)
  }
  leaveSource(group: Address, source: Address): number {
    return this.stack.udp.leaveSource(this.member, group, source)
  }
  block(group: Address, source: Address): number {
    return this.stack.udp.block(this.member, group, source)
  }
  unblock(group: Address, source: Address): number {
    return this.stack.udp.unblock(this.member, group, source)
  }
  setFilter(group: Address, mode: FilterMode, sources: readonly Address[]): number {
    return this.stack.udp.setFilter(this.member, group, mode, sources)
  }
  isLocal(address: Address): boolean {
    return this.stack.isLocal(address)
  }
}
