/** How often what happened, in all endpoints; each reason to drop a datagram has one. */
export const newCounters = () => ({
  datagramsIn: 0,
  datagramsOut: 0,
  badHeaders: 0,
  badChecksums: 0,
  /** Without a checksum, over IPv6 (RFC 8200 section 8.1). */
  missingChecksums: 0,
  /** For one address of ours, and a port that nobody has. */
  noPort: 0,
  /** To a group or to everybody, and nobody wants it. */
  groupIgnored: 0,
  /** The user had no room. */
  userFull: 0,
  /** The link had no room. */
  noRoom: 0,
  /** About nothing of ours, or of no use. */
  icmpIgnored: 0,
  icmpTaken: 0,
})
export type UdpCounters = ReturnType<typeof newCounters>
