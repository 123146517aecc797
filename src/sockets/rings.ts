// Memory for a connection's rings: how much at first, when more, when it goes back.
import { ENOBUFS } from '../base/errno.ts'
import { CHUNK_MAX_LOG2 } from '../shm/chunks.ts'
import { ABI_CHUNKS_OFFSET, ABI_REGION_SIZE, RECORD } from '../shm/layout.ts'
import type { Ground } from './ground.ts'
import { OPT_RCVBUF, OPT_SNDBUF } from './option-rules.ts'
import type { Stream } from './stream.ts'
import { takeRings } from './native.ts'
import * as T from './table.ts'

const BUDGET = ABI_REGION_SIZE - ABI_CHUNKS_OFFSET

/** Gives a connection that begins its rings. 0 or -ENOBUFS. */
export function placeRings(ground: Ground, s: Stream): number {
  const { rmemMin, rmemDefault, wmemMin, wmemDefault } = ground.stack.tcp.tuning
  const short = ground.chunks.used > BUDGET / 2
  const rx = log2For(s.options[OPT_RCVBUF] || (short ? rmemMin : rmemDefault))
  const tx = log2For(s.options[OPT_SNDBUF] || (short ? wmemMin : wmemDefault))
  const rxAt = ground.chunks.alloc(rx)
  const txAt = ground.chunks.alloc(tx)
  if (rxAt < 0 || txAt < 0) {
    if (rxAt >= 0) ground.chunks.free(rxAt)
    if (txAt >= 0) ground.chunks.free(txAt)
    ground.counters.noMemory++
    return -ENOBUFS
  }
  s.rx.place(rxAt, rx, 0, 0, false)
  s.tx.place(txAt, tx, 0, 0, false)
  if (s.options[OPT_RCVBUF] > 0) s.rx.limit = Math.min(s.options[OPT_RCVBUF], s.rx.size)
  if (s.options[OPT_SNDBUF] > 0) s.tx.limit = s.options[OPT_SNDBUF]
  s.set(T.RX_GEOM, s.rx.geom)
  s.set(T.TX_GEOM, s.tx.geom)
  s.rx.askForNotice()
  if (s.native) takeRings(s)
  return 0
}

/** The receive ring should hold `n` bytes: TCP measured that the program takes that much in a round trip. */
export function growReceive(ground: Ground, s: Stream, n: number): void {
  if (s.options[OPT_RCVBUF] > 0 || s.rx.size === 0) return
  const log2 = larger(ground, s.rx.size, n)
  const at = log2 === 0 ? -1 : ground.chunks.alloc(log2)
  if (at < 0) return
  const old = s.rx.offset
  s.rx.moveTo(at, log2)
  s.rx.askForNotice()
  s.set(T.RX_GEOM, s.rx.geom)
  ground.chunks.free(old)
}

/** The send ring should hold `n` bytes: the congestion window has outgrown it. False: a program is writing just now. */
export function growSend(ground: Ground, s: Stream, n: number): boolean {
  if (s.options[OPT_SNDBUF] > 0 || s.tx.size === 0) return true
  if (s.peek(RECORD.wlock) !== 0) return false
  const log2 = larger(ground, s.tx.size, n)
  const at = log2 === 0 ? -1 : ground.chunks.alloc(log2)
  if (at < 0) return true
  const old = s.tx.offset
  const moved = s.tx.moveTo(at, log2)
  s.set(T.TX_GEOM, s.tx.geom)
  ground.chunks.free(moved ? old : at)
  return moved
}

/** Readers that are copying just now fail and find no ring: its memory may be another's at once. */
export function dropReceiveRing(ground: Ground, s: Stream): void {
  if (s.rx.size === 0) return
  const { offset } = s.rx
  s.rx.remove()
  s.set(T.RX_GEOM, 0)
  ground.chunks.free(offset)
}

/** A program that is writing just now goes on writing for a moment: then the memory is kept until it has left. */
export function dropSendRing(ground: Ground, s: Stream): void {
  if (s.tx.size === 0) return
  const { offset } = s.tx
  s.tx.remove()
  s.set(T.TX_GEOM, 0)
  if (s.peek(RECORD.wlock) === 0 || s.state === T.CLOSING) ground.chunks.free(offset)
  else ground.writtenTo.push({ record: s.index, generation: s.generation, offset })
}

/** Frees the send rings whose last writer has left meanwhile. */
export function freeWritten(ground: Ground): void {
  const waiting = ground.writtenTo.splice(0)
  for (const w of waiting) {
    const s = ground.streams[w.record]
    const held = s !== undefined && s.generation === w.generation && s.peek(RECORD.wlock) !== 0
    if (held) ground.writtenTo.push(w)
    else ground.chunks.free(w.offset)
  }
}

const log2For = (bytes: number) =>
  Math.min(CHUNK_MAX_LOG2, Math.max(12, Math.ceil(Math.log2(bytes))))

/** The size to move to, 0: none. Growth stops when three quarters of the stack's memory are in use. */
function larger(ground: Ground, size: number, n: number): number {
  if (n <= size || ground.chunks.used > (BUDGET / 4) * 3) return 0
  const log2 = Math.min(CHUNK_MAX_LOG2, Math.ceil(Math.log2(n)))
  return 2 ** log2 > size ? log2 : 0
}
