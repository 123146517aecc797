// socket(2): a record, a row, nothing else yet.
import { EINVAL, ENFILE, EPROTONOSUPPORT } from '../base/errno.ts'
import * as libc from '../ffi/libc.ts'
import { ABI_RECORDS, MODE_NATIVE, RECORD, RECORD_OPEN } from '../shm/layout.ts'
import { ANY_V4, ANY_V6 } from '../wire/address.ts'
import { moveBinding } from './bind.ts'
import type { Call } from './calls.ts'
import { copyFilter } from './filters.ts'
import type { Ground } from './ground.ts'
import { openMessageSocket } from './messages/open.ts'
import { shareNative } from './native.ts'
import { defaultOptions, shareOptions } from './options.ts'
import { Stream } from './stream.ts'
import * as T from './table.ts'

const IPPROTO_TCP = 6
const IPPROTO_MAX = 263

/** socket(2). The record's number, or a negative errno; call.generation is set. */
export function openSocket(ground: Ground, call: Call): number {
  const family = call.arg[0]
  const type = call.arg[1]
  const protocol = call.arg[2]
  if (ground.table.inUse === ABI_RECORDS) ground.reclaimRecords()
  const internet = family === libc.AF_INET || family === libc.AF_INET6
  if (!internet || type !== libc.SOCK_STREAM) return openMessageSocket(ground, call)
  if (protocol < 0 || protocol >= IPPROTO_MAX) return -EINVAL
  if (protocol !== 0 && protocol !== IPPROTO_TCP) return -EPROTONOSUPPORT
  const s = newStream(ground, family, T.OWN_NAME)
  if (s === undefined) return -ENFILE
  s.madeBy(call.slot, ground.now)
  defaultOptions(ground, s)
  if (call.arg[4] > 0) takeOver(ground, s, call.arg[4] - 1, call.arg[5] >>> 0)
  if (call.arg[3] === MODE_NATIVE || ground.plug === 0) shareNative(s)
  s.share(RECORD.state, RECORD_OPEN)
  call.generation = s.generation
  return s.index
}

/** A record and its row for a stream socket; undefined when all are taken. */
export function newStream(ground: Ground, family: number, flags: number): Stream | undefined {
  const index = ground.table.alloc()
  if (index < 0) {
    ground.counters.noRecords++
    return
  }
  const s = new Stream(ground.region, ground.table, index)
  ground.streams[index] = s
  s.set(T.STATE, T.OPEN)
  s.set(T.FAMILY, family)
  s.set(T.FLAGS, flags)
  s.clearRecord()
  s.shareKind(family, libc.SOCK_STREAM, IPPROTO_TCP)
  s.local = family === libc.AF_INET6 ? ANY_V6 : ANY_V4
  s.shareName(RECORD.local, s.local, 0)
  return s
}

/** Options and local name of the socket that this one replaces (connect again after a failed one). */
function takeOver(ground: Ground, s: Stream, index: number, generation: number): void {
  const old = ground.streams[index]
  if (old === undefined || old.generation !== generation) return
  s.options.set(old.options)
  copyFilter(ground, old, s)
  shareOptions(s)
  s.share(RECORD.linger, old.peek(RECORD.linger))
  if (old.has(T.BOUND)) moveBinding(old, s)
}
