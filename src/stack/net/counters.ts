/** What happened to packets. Below the first group: why one was thrown away. */
export class NetCounters {
  packetsIn = 0
  packetsOut = 0
  fragmentsIn = 0
  fragmentsOut = 0
  reassembled = 0
  icmpIn = 0
  icmpOut = 0
  icmpErrorsIn = 0
  icmpErrorsOut = 0

  /** Version, ihl or a length that lies. */
  badHeader = 0
  badHeaderChecksum = 0
  badOptions = 0
  sourceRoute = 0
  martianSource = 0
  notOurAddress = 0
  /** To everybody, or to a group, but of a protocol that does not take that. */
  broadcast = 0
  /** To a group that nobody here wants to hear, from there. */
  groupNotJoined = 0
  /** In a broadcast frame, but to one address (RFC 1122 section 3.3.6). */
  linkBroadcast = 0
  noProtocol = 0
  /** Ours, but the way there, or the source address, is gone. */
  noRoute = 0
  /** Ours, larger than the mtu that the link or the path has by now. */
  tooBig = 0
  /** A fragment of ours for which the link had no room; the rest of its datagram follows it. */
  fragmentNoRoom = 0
  /** Our own datagram to a group, which would have come back to us. */
  loopNoRoom = 0

  /** IPv6 options that are to be discarded when unknown, or more headers and options than anybody needs. */
  extensionDiscarded = 0
  /** IPv6: its sender was told, or would have been, what is wrong with the header. */
  parameterProblem = 0
  /** IPv6: no next header. */
  noNextHeader = 0

  badFragment = 0
  fragmentOverlap = 0
  /** Of a datagram that was given up because fragments of it overlapped. */
  fragmentOfDropped = 0
  /** Of fragments some of which could be marked by routers, and some not. */
  fragmentEcn = 0
  reassemblyTimeout = 0
  /** The oldest of too many. */
  reassemblyFull = 0

  /** Of neighbor discovery. Then: not from the link itself (hop limit below 255), fragmented, or malformed. */
  nsIn = 0
  nsOut = 0
  naIn = 0
  naOut = 0
  rsOut = 0
  raIn = 0
  redirectsIn = 0
  ndInvalid = 0
  /** Well formed, but about nothing that we have or asked for. */
  ndIgnored = 0
  ndNoRoom = 0
  /** Another station has, or wants, an address of ours. */
  addressConflicts = 0
  /** Our own probe came back (RFC 7527). */
  dadLoops = 0
  /** A redirect from who is not our router for that destination. */
  redirectRefused = 0
  mldQueriesIn = 0
  mldReportsOut = 0
  /** Not from the link itself, or malformed. */
  mldInvalid = 0
  /** A router, prefix, route or redirect beyond what is kept. */
  routersFull = 0

  igmpIn = 0
  igmpOut = 0
  /** Malformed, or from beyond a router. */
  igmpInvalid = 0
  igmpNoRoom = 0

  icmpMalformed = 0
  /** A type that a host has no use for, or must not believe (redirect, source quench). */
  icmpIgnored = 0
  /** An error that quotes nothing of ours. */
  icmpErrorNotOurs = 0
  icmpRateLimited = 0
  icmpNoRoom = 0
}
