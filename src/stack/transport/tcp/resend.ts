// What is taken as lost goes again, the lowest numbers first, as far as cwnd lets it: NextSeg() (RFC 6675 section 4).
import { FIN } from '../../../wire/tcp.ts'
import { noteAgain } from './account.ts'
import { emit, maxText, push } from './emit.ts'
import * as flight from './flight.ts'
import { FRTO_NEW } from './recovery.ts'
import { diff } from './seq.ts'
import type { Tcb } from './tcb.ts'
import type { Tcp } from './tcp.ts'

/** Sends at most `burst` segments; gives how many are left of it. -1: the link has no room. */
export function resend(
  tcp: Tcp,
  tcb: Tcb,
  length: number,
  mss: number,
  burst: number,
  now: number,
): number {
  const { snd } = tcb
  // RFC 5682 section 2.1 step 2b: new text will tell whether anything is lost.
  if (snd.frto === FRTO_NEW) return burst
  const most = maxText(tcb, mss)
  const finSent = diff(snd.max, snd.una) > length
  while (burst > 0) {
    if (snd.paceRate > 0 && now < snd.paceAt) {
      snd.pacedUntil = snd.paceAt
      break
    }
    const i = flight.nextLost(tcb, flight.first(tcb))
    if (i < 0) break
    const from = flight.start(tcb, i)
    const offset = diff(from, snd.una)
    let n = flight.lostLength(tcb, i, Math.min(most, length - offset + (finSent ? 1 : 0)))
    // The window may have been taken back; text at SND.UNA goes all the same (RFC 9293 section 3.8.6).
    if (offset + n > snd.wnd)
      n = offset === 0 ? Math.min(n, Math.max(mss, snd.wnd)) : snd.wnd - offset
    if (n <= 0) break
    const inNetwork = flight.pipe(tcb)
    const allowed = snd.cwnd - inNetwork
    if (allowed < n) {
      if (allowed >= mss) n = allowed - (allowed % mss)
      else if (inNetwork > 0) break
      else n = Math.min(n, mss)
    }
    const fin = finSent && offset + n > length
    const text = fin ? n - 1 : n
    const control = push(text, offset + text === length) | (fin ? FIN : 0)
    if (!emit(tcp, tcb, from, control, text, mss, now)) return -1
    noteAgain(tcp, tcb, from, n, text, mss, now)
    burst--
  }
  return burst
}
