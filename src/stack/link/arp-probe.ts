// Probes for IPv4 addresses that are to become ours (RFC 5227 section 2.1): does anybody have them? A program waits for the
// answer, so the intervals are shorter than the RFC's seconds; stations on a link of today answer within milliseconds.
import type { Mac } from '../../wire/mac.ts'

const PROBE_NUM = 3
const PROBE_INTERVAL = 200
/** Whoever asks for more at once gets no answer sooner. */
const MAX_PROBES = 8

/** Nobody has the address, or somebody has. */
export type ProbeAnswer = (free: boolean, now: number) => void

interface Probe {
  readonly address: number
  readonly answer: ProbeAnswer
  left: number
  due: number
}

export class ArpProbes {
  private readonly send: (address: number) => boolean
  private probes: Probe[] = []

  /** `send` asks everybody for an address, from 0.0.0.0. */
  constructor(send: (address: number) => boolean) {
    this.send = send
  }

  /** Begins with the next run(). Another probe for the same address is forgotten. */
  start(address: number, answer: ProbeAnswer): void {
    const others = this.probes.filter(probe => probe.address !== address)
    if (others.length === MAX_PROBES) others.shift()
    this.probes = [...others, { address, answer, left: PROBE_NUM, due: -Infinity }]
  }

  get next(): number {
    let next = Infinity
    for (const { due } of this.probes) next = Math.min(next, due)
    return next
  }

  run(now: number): void {
    if (now < this.next) return
    for (const probe of this.probes) {
      if (now < probe.due) continue
      if (probe.left === 0) this.end(probe, true, now)
      else {
        if (this.send(probe.address)) probe.left--
        probe.due = now + PROBE_INTERVAL
      }
    }
  }

  /** Another station, at `mac`, sent ARP from `spa` about `tpa`: it has the address, or is about to take it. */
  heard(spa: number, tpa: number, mac: Mac, own: Mac, now: number): void {
    if (this.probes.length === 0 || mac.equals(own)) return
    for (const probe of this.probes)
      if (probe.address === spa || (spa === 0 && probe.address === tpa)) this.end(probe, false, now)
  }

  private end(probe: Probe, free: boolean, now: number): void {
    this.probes = this.probes.filter(other => other !== probe)
    probe.answer(free, now)
  }
}
