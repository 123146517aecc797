/** As Linux's icmp_msgs_per_sec and icmp_msgs_burst. */
const PER_SECOND = 1000
const BURST = 50
/** The bucket loses up to this much more at each filling, so that nobody can count others' messages (SAD DNS). */
const BLUR = 3

/** The token bucket for ICMP errors (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4(f)). */
export class RateLimit {
  private readonly random: () => number
  private tokens = BURST
  private filled = -Infinity

  constructor(random: () => number) {
    this.random = random
  }

  /** May one more go out? Then it counts. */
  allows(now: number): boolean {
    const gained = Math.floor(((now - this.filled) * PER_SECOND) / 1000)
    if (gained > 0) {
      this.tokens = Math.min(BURST, this.tokens + gained) - (this.random() % BLUR)
      this.filled = now
    }
    if (this.tokens <= 0) return false
    this.tokens--
    return true
  }
}
