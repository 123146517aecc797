// What stands in an Unreachable beside what TCP looks at: the error's sender, and a quotation that nobody reads.
import type { Unreachable } from '../../src/stack/net/protocol.ts'
import type { Address } from '../../src/wire/address.ts'

export const unquoted = (
  from: Address,
): Pick<Unreachable, 'from' | 'bytes' | 'transport' | 'end'> => ({
  from,
  bytes: new Uint8Array(0),
  transport: 0,
  end: 0,
})
