/** What happened on the link. Everything below the first group counts why something was thrown away. */
export class LinkCounters {
  framesIn = 0
  framesOut = 0
  bytesIn = 0
  bytesOut = 0
  arpIn = 0
  arpOut = 0
  /** ARP messages of another station that claims one of our addresses. */
  arpConflicts = 0
  neighborsFailed = 0

  frameTooShort = 0
  /** Longer than the mtu, and no offload header says how to cut it. */
  frameTooLong = 0
  notOurMac = 0
  multicastNotJoined = 0
  /** The source is a group address or all zeros. */
  badSourceMac = 0
  /** Our own frame came back. */
  ownFrame = 0
  unknownEthertype = 0
  arpMalformed = 0
  /** An ARP message of ours found no room; it is sent again when its turn comes. */
  arpNoRoom = 0
  linkDown = 0
  /** Made for a link with offload or a larger mtu, which was replaced. */
  linkChanged = 0
  neighborQueueFull = 0
  neighborTableFull = 0
}
