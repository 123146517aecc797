// A new stack thread takes up the sockets of the one before it.
import { ECONNRESET } from '../base/errno.ts'
import * as libc from '../ffi/libc.ts'
import { OP_CONNECT, OP_WAIT, RECORD, WAIT_CONNECTED, geomOffset } from '../shm/layout.ts'
import { holdPortAgain } from './bind.ts'
import type { Call } from './calls.ts'
import { failed, release } from './close.ts'
import { join } from './connect.ts'
import { recoverFilter } from './filters.ts'
import type { Ground } from './ground.ts'
import { listen } from './listener.ts'
import { watch } from './native.ts'
import { OPT_RCVBUF, OPT_SNDBUF } from './option-rules.ts'
import { OPT_OOBINLINE } from './option-table.ts'
import { MOST_TOKENS } from './readiness.ts'
import { gateSegments } from './segment-gate.ts'
import { Stream } from './stream.ts'
import * as T from './table.ts'
import { refresh } from './transfer.ts'

/** Rebuilds all that does not lie in private memory. Connections that contradict themselves are aborted. */
export function recover(ground: Ground): void {
  const held = new Set(ground.stack.tcp.recover(ground.now))
  for (const index of ground.table.live()) {
    const s = new Stream(ground.region, ground.table, index)
    if (s.state !== T.MESSAGES) ground.streams[index] = s
  }
  for (const s of ground.streams) {
    if (s === undefined) continue
    holdPortAgain(ground, s)
    claimRings(ground, s)
    recoverFilter(ground, s)
    if (s.filter !== undefined) gateSegments(ground)
    if (s.tcb >= 0 && held.delete(s.tcb)) rejoin(ground, s)
    else if (s.tcb >= 0) lost(ground, s)
  }
  for (const tcb of held) ground.stack.tcp.abort(tcb, ground.now)
  for (const s of ground.streams) if (s !== undefined) resume(ground, s)
}

/** The memory of the socket's rings is taken, as it was. */
function claimRings(ground: Ground, s: Stream): void {
  for (const column of [T.RX_GEOM, T.TX_GEOM]) {
    const g = s.get(column)
    if (g !== 0 && !ground.chunks.claim(geomOffset(g), g & 31))
      throw new Error(`two sockets claim the ring at ${geomOffset(g)}`)
  }
}

/** The counters of both rings follow from the TCB; in native mode the program's sides are the table's. */
function rejoin(ground: Ground, s: Stream): void {
  const { tcp } = ground.stack
  const rx = s.get(T.RX_GEOM)
  const tx = s.get(T.TX_GEOM)
  const published = tcp.published(s.tcb)
  const consumed = tcp.consumed(s.tcb)
  if (rx !== 0) {
    s.rx.place(geomOffset(rx), rx & 31, s.get(T.RX_HEAD), published, s.native)
    if (s.options[OPT_RCVBUF] > 0) s.rx.limit = Math.min(s.options[OPT_RCVBUF], s.rx.size)
  }
  if (tx !== 0) {
    s.tx.place(geomOffset(tx), tx & 31, consumed, s.native ? s.get(T.TX_TAIL) : consumed, s.native)
    if (s.options[OPT_SNDBUF] > 0) s.tx.limit = s.options[OPT_SNDBUF]
  }
  if (!s.native && s.rx.size > 0) s.rx.trust(s.peek(RECORD.rx_head))
  if (s.state === T.CLOSING) s.tx.freeze()
  join(ground, s, s.tcb)
  tcp.attach(s.tcb, s.tx, s.rx)
  const mark = tcp.urgentMark(s.tcb)
  if (mark !== undefined) s.rx.mark((mark - s.rx.tail) | 0, s.options[OPT_OOBINLINE] !== 0)
}

/** The record of its connection was not whole. */
function lost(ground: Ground, s: Stream): void {
  s.set(T.TCB, -1)
  failed(ground, s, ECONNRESET)
}

function resume(ground: Ground, s: Stream): void {
  if (s.fd >= 0) watch(ground, s, libc.EPOLL_CTL_MOD)
  if (s.state === T.LISTENING && listen(ground, s) < 0) return release(ground, s)
  if (s.has(T.UNDELIVERED)) {
    const waiting = ground.undelivered.get(s.get(T.LISTENER))
    if (waiting === undefined) ground.undelivered.set(s.get(T.LISTENER), [s])
    else waiting.push(s)
  }
  if (s.tcb >= 0) ground.stack.tcp.send(s.tcb, ground.now, false)
  refresh(ground, s)
}

/** A call that was put off is served again; a connect that is under way only waits. */
export function served(call: Call): Call {
  if (call.op === OP_CONNECT) {
    call.op = OP_WAIT
    call.arg[0] = WAIT_CONNECTED
  }
  return call
}

/** A process died while it took tokens: `rung` says again how many there are. */
export function recountTokens(ground: Ground, s: Stream): void {
  if (s.fd < 0 || s.native || s.has(T.DEAD)) return
  const unread = Math.round(libc.outQueue(s.fd) / ground.tokenSize)
  if (unread >= 0 && unread <= MOST_TOKENS) s.share(RECORD.rung, unread)
}
