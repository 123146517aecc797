// What stands in an Unreachable beside what TCP looks at: the error's sender, and a quotation that nobody reads.
import type { Unreachable } from '../../src/stack/net/protocol.ts'
import type { Address } from '../../src/wire/address.ts'

export const unquoted = (
  from: Address,
): Pick<Unreachable, 'from' | 'ttl' | 'bytes' | 'ip' | 'transport' | 'end' | 'info'> => ({
  from,
  ttl: 64,
  bytes: new Uint8Array(0),
  ip: 0,
  transport: 0,
  info: 0,
  end: 0,
})
