// Calls about message sockets.
import { EAGAIN, EINVAL, ENOPROTOOPT, ENOTCONN, EOPNOTSUPP } from '../../base/errno.ts'
import * as A from '../../shm/layout.ts'
import type { Call } from '../calls.ts'
import { getFilterOption, setFilterOption } from '../filters.ts'
import type { Ground } from '../ground.ts'
import { SOL_SOCKET } from '../option-rules.ts'
import { AF_UNSPEC } from '../sockaddr.ts'
import { flush, hasError, takeError, wake } from './deliver.ts'
import { Inbound } from './inbound.ts'
import type { MessageSocket } from './message-socket.ts'
import { goBare } from './open.ts'
import { AF_PACKET } from './packet.ts'
import { closeMessageSocket, takeMessages } from './take.ts'

const ALL = 1 << 30

/** The answer to a call: a result or a negative errno. */
export function serveMessageCall(ground: Ground, m: MessageSocket, call: Call): number {
  // What the program sent before it called goes before.
  takeMessages(ground, m, ALL)
  switch (call.op) {
    case A.OP_RETIRE:
      ground.counters.squattedNames++
      closeMessageSocket(ground, m)
      return 0
    case A.OP_BIND:
      return changed(m, m.kind.bind(call))
    case A.OP_CONNECT:
      return changed(m, connect(m, call))
    case A.OP_DISCONNECT:
      return changed(m, m.kind.disconnect())
    case A.OP_SETSOCKOPT:
      return changed(m, setOption(ground, m, call))
    case A.OP_GETSOCKOPT:
      return getOption(m, call)
    case A.OP_SHUTDOWN:
      return shutdown(m, call.arg[0])
    case A.OP_MESSAGE_CHECK:
      return check(m, call)
    case A.OP_MESSAGE_ERROR:
      return giveError(m, call)
    case A.OP_MESSAGE_NAME:
      return giveName(ground, m, call)
    case A.OP_MESSAGE_HOLD:
      m.held = true
      m.returned = 0
      return 0
    case A.OP_NATIVE:
      m.held = false
      goBare(m)
      flush(ground, m)
      if (hasError(m)) wake(ground, m)
      return 0
    case A.OP_OUTQ:
      call.arg[0] = 0
      return 0
    case A.OP_LISTEN:
      return -EOPNOTSUPP
    default:
      return call.op > 0 ? -EOPNOTSUPP : -EINVAL
  }
}

function setOption(ground: Ground, m: MessageSocket, call: Call): number {
  const ofFilter = call.arg[0] === SOL_SOCKET ? setFilterOption(ground, m, call) : undefined
  return ofFilter ?? m.kind.setOption(call) ?? -ENOPROTOOPT
}

function getOption(m: MessageSocket, call: Call): number {
  const ofFilter = call.arg[0] === SOL_SOCKET ? getFilterOption(m, call) : undefined
  return ofFilter ?? m.kind.getOption(call) ?? -ENOPROTOOPT
}

/** What the program remembers of check() was true before this. */
function changed(m: MessageSocket, result: number): number {
  if (result >= 0) m.forgetChecks()
  return result
}

function connect(m: MessageSocket, call: Call): number {
  if (call.length < 2) return -EINVAL
  const family = call.data[0] | (call.data[1] << 8)
  return family === AF_UNSPEC ? m.kind.disconnect() : m.kind.connect(call)
}

/** The kernel's queues are the shim's to shut down, when this says that they may be. */
function shutdown(m: MessageSocket, how: number): number {
  if (how < 0 || how > 2) return -EINVAL
  if (m.family === AF_PACKET) return -EOPNOTSUPP
  // Who waits wakes up all the same, as on Linux.
  if (how !== 1) m.shareFlag(A.FLAG_SHUT_RD)
  if (how !== 0) m.shareFlag(A.FLAG_SHUT_WR)
  return m.connected ? 0 : -ENOTCONN
}

const asked = new Inbound(new Uint8Array(A.MESSAGE_SIZE))

function check(m: MessageSocket, call: Call): number {
  if (call.length < A.MESSAGE_SIZE) return -EINVAL
  return m.kind.check(asked.headed(call.data, 0, call.arg[0] >>> 0))
}

function giveError(m: MessageSocket, call: Call): number {
  const error = takeError(m)
  if (error === undefined) return -EAGAIN
  return give(call, error, 0)
}

function giveName(ground: Ground, m: MessageSocket, call: Call): number {
  flush(ground, m)
  return m.inFlight === undefined ? -EAGAIN : give(call, m.inFlight, 0)
}

function give(call: Call, bytes: Uint8Array, result: number): number {
  const n = Math.min(bytes.length, A.CALL_DATA_SIZE)
  call.out.set(bytes.subarray(0, n))
  call.outLength = n
  return result
}
