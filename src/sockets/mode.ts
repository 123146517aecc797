// From ring mode to native mode, for good.
import { EINVAL } from '../base/errno.ts'
import * as libc from '../ffi/libc.ts'
import {
  FLAG_NATIVE_ACCEPT,
  RECORD,
  RECORD_DELIVERED,
  RECORD_DELIVERED_NATIVE,
} from '../shm/layout.ts'
import type { Ground } from './ground.ts'
import { shareNative, takeRings, watch } from './native.ts'
import type { Stream } from './stream.ts'
import * as T from './table.ts'
import { refresh } from './transfer.ts'

/** The socket goes native, for good; `discard` messages of the program's (canary, plug) come before its text. */
export function goNative(ground: Ground, s: Stream, discard: number): number {
  if (s.native) return 0
  if (discard < 0 || discard > 2 * ground.plug) return -EINVAL
  shareNative(s)
  if (s.state === T.LISTENING) {
    s.shareFlag(FLAG_NATIVE_ACCEPT)
    for (const d of ground.streams)
      if (d !== undefined && d.get(T.LISTENER) === s.index && d.has(T.DELIVERED))
        deliverNatively(ground, d)
    return 0
  }
  s.unmark(T.AWAITS_PLUG)
  s.set(T.DISCARD, discard)
  if (s.rx.size > 0) takeRings(s)
  if (s.fd >= 0) watch(ground, s, libc.EPOLL_CTL_MOD)
  refresh(ground, s)
  return 0
}

/** A connection nobody has accepted yet goes native with its listener, unless the acceptor is quicker (CAS). */
function deliverNatively(ground: Ground, d: Stream): void {
  if (!d.compareSwap(RECORD.state, RECORD_DELIVERED, RECORD_DELIVERED_NATIVE)) return
  d.unmark(T.DELIVERED)
  shareNative(d)
  takeRings(d)
  if (d.fd >= 0) watch(ground, d, libc.EPOLL_CTL_MOD)
  refresh(ground, d)
}
