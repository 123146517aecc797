// How questions travel.
import type { Address } from '../wire/address.ts'

/** Who asked. Called from Carrier.run() only. */
export interface Asker {
  /** Bytes from the server; they may be anything. */
  heard(message: Uint8Array, now: number): void
  /** The server cannot be reached, or has hung up. */
  unreachable(now: number): void
}

export interface Channel {
  /** Nothing more is heard. */
  close(now: number): void
}

export interface Carrier {
  /** Sends a query from a port of its own. Undefined: there is no way to the server. */
  datagram(server: Address, query: Uint8Array, asker: Asker, now: number): Channel | undefined
  /** Sends it over a connection (RFC 7766). */
  connection(server: Address, query: Uint8Array, asker: Asker, now: number): Channel | undefined
}
