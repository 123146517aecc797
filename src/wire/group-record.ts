// What a report says of one group: IGMPv3 (RFC 3376 section 4.2.12) and MLDv2 (RFC 3810 section 5.2.12) number it alike.
import type { Address } from './address.ts'

export const MODE_IS_INCLUDE = 1
export const MODE_IS_EXCLUDE = 2
export const CHANGE_TO_INCLUDE = 3
export const CHANGE_TO_EXCLUDE = 4
export const ALLOW_NEW_SOURCES = 5
export const BLOCK_OLD_SOURCES = 6

export interface GroupRecord {
  readonly type: number
  readonly group: Address
  readonly sources: readonly Address[]
}
