// Probes for IPv4 addresses that are to become ours (RFC 5227 section 2.1): does anybody have them? Everybody is asked a few
// times, from nobody's address; whoever speaks as if the address were his, or wants it at the same moment, has it.
import type { Mac } from '../../wire/mac.ts'

/** ms */
export interface ProbeTiming {
  /** Up to so long before the first probe: hosts that were switched on together do not speak together. */
  readonly wait: number
  readonly count: number
  /** Between probes, at least and at most. */
  readonly min: number
  readonly max: number
  /** After the last one. */
  readonly after: number
}

/** Section 1.1: four to nine seconds. */
export const PROBE_FULL: ProbeTiming = { wait: 1000, count: 3, min: 1000, max: 2000, after: 2000 }
/**
 * 300 ms in all, where a program waits. RFC 2131 section 4.4.1 says that a client should ask, not for how long; section
 * 1.1's four seconds and more are for links of which nothing is known. Stations on a link of today answer within
 * milliseconds (NetworkManager asks for 200 ms, udhcpc -a for 2 s, systemd-networkd and dhclient, left as they are, not
 * at all), and who answers later is met by the defence of section 2.4.
 */
export const PROBE_QUICK: ProbeTiming = { wait: 0, count: 3, min: 100, max: 100, after: 100 }

/** Who met so many conflicts asks once a minute only (section 2.1.1). */
const MAX_CONFLICTS = 10
const RATE_LIMIT_INTERVAL = 60_000

/** Nobody has the address, or somebody (`owner`) has. */
export type ProbeAnswer = (free: boolean, now: number, owner: Mac | undefined) => void

interface Probe {
  readonly address: number
  readonly answer: ProbeAnswer
  readonly timing: ProbeTiming
  sent: number
  /** -Infinity: it has not begun. */
  due: number
}

export class ArpProbes {
  private readonly random: () => number
  private readonly send: (address: number) => boolean
  private probes: Probe[] = []
  private conflicts = 0
  private lastConflict = -Infinity
  private isUp = false

  /** `random`: 32 bits. `send` asks everybody for an address, from 0.0.0.0; false: no room now. */
  constructor(random: () => number, send: (address: number) => boolean) {
    this.random = random
    this.send = send
  }

  /** Begins with the next run(). Another probe for the same address is forgotten. */
  start(address: number, answer: ProbeAnswer, timing = PROBE_QUICK): void {
    this.cancel(address)
    this.probes = [...this.probes, { address, answer, timing, sent: 0, due: -Infinity }]
  }

  cancel(address: number): void {
    this.probes = this.probes.filter(probe => probe.address !== address)
  }

  /** What was asked on another link counts for nothing. */
  linkUp(): void {
    this.isUp = true
    for (const probe of this.probes) {
      probe.sent = 0
      probe.due = -Infinity
    }
  }

  linkDown(): void {
    this.isUp = false
  }

  get next(): number {
    let next = Infinity
    if (this.isUp) for (const { due } of this.probes) next = Math.min(next, due)
    return next
  }

  run(now: number): void {
    if (now < this.next) return
    for (const probe of this.probes) if (now >= probe.due) this.step(probe, now)
  }

  /** Another station, at `mac`, sent ARP from `spa` about `tpa`: it has the address, or is about to take it. */
  heard(spa: number, tpa: number, mac: Mac, own: Mac, now: number): void {
    if (this.probes.length === 0 || mac.equals(own)) return
    for (const probe of this.probes)
      if (probe.address === spa || (spa === 0 && probe.address === tpa)) {
        this.conflicts++
        this.lastConflict = now
        this.end(probe, false, now, mac)
      }
  }

  private step(probe: Probe, now: number): void {
    const { timing } = probe
    if (probe.due === -Infinity) {
      probe.due = this.firstAt(timing, now)
      if (now < probe.due) return
    }
    if (probe.sent === timing.count) return this.end(probe, true, now, undefined)
    if (this.send(probe.address)) probe.sent++
    const isLast = probe.sent === timing.count
    probe.due = now + (isLast ? timing.after : this.between(timing.min, timing.max))
  }

  private firstAt({ wait }: ProbeTiming, now: number): number {
    const at = now + this.between(0, wait)
    if (this.conflicts < MAX_CONFLICTS) return at
    return Math.max(at, this.lastConflict + RATE_LIMIT_INTERVAL)
  }

  private between(min: number, max: number): number {
    return min + ((max - min) * this.random()) / 2 ** 32
  }

  private end(probe: Probe, free: boolean, now: number, owner: Mac | undefined): void {
    this.probes = this.probes.filter(other => other !== probe)
    probe.answer(free, now, owner)
  }
}
