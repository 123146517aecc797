// The control socket: who is let in, what is answered, what is not.
import t from 'tap'

import { EACCES, EINVAL, EPROTO } from '../../src/base/errno.ts'
import * as libc from '../../src/ffi/libc.ts'
import {
  recvWithFds,
  sendWithFds,
  unixConnect,
  unixListen,
  unixSocket,
} from '../../src/ffi/unix.ts'
import { Sessions, SILENT } from '../../src/server/session.ts'
import * as layout from '../../src/shm/layout.ts'
import { request } from '../helpers/stack-server.ts'
import { start } from '../helpers/program.ts'

const TOKEN = Buffer.from('0123456789abcdef')
let count = 0

/** Sessions with a control socket, and the epoll set of a main thread that the test turns by hand. */
function make(t: Parameters<typeof start>[0], faults = false) {
  const name = `@ioth-test/${process.pid}/${count++}`
  const epoll = libc.epollCreate()
  const region = libc.memfdCreate('ioth', 0)
  const listener = unixListen(libc.SOCK_SEQPACKET, name, 1024)
  libc.epollCtl(epoll, libc.EPOLL_CTL_ADD, listener, libc.EPOLLIN, SILENT - 1)
  const told: string[] = []
  const sessions = new Sessions(epoll, region, TOKEN, faults, {
    slotEnded: slot => told.push(`ended ${slot}`),
    launched: fd => told.push(`launched ${fd >= 0}`),
    fault: kind => told.push(kind),
  })
  t.teardown(() => [listener, epoll, region].forEach(libc.close))
  const events = new libc.EpollEvents(64)
  const turn = (ms = 0) => {
    const n = events.wait(epoll, ms)
    for (let i = 0; i < n; i++) {
      const data = events.data(i)
      if (data === SILENT - 1) sessions.accept(listener)
      else if (data >= SILENT) sessions.spoke(data - SILENT)
      else sessions.ended(data)
    }
    return n
  }
  const connect = () => {
    const fd = unixSocket(libc.SOCK_SEQPACKET)
    t.equal(unixConnect(fd, name), 0)
    return fd
  }
  /** What it answers to this message: [result, slot, descriptors], or 'nothing'. */
  const ask = (message: Uint8Array, fds: number[] = []) => {
    const fd = connect()
    sendWithFds(fd, message, fds)
    turn()
    return answer(fd)
  }
  return { sessions, told, turn, connect, ask }
}

function answer(fd: number): [number, number, number] | 'nothing' | 'closed' {
  const got = recvWithFds(fd, 100)
  if (typeof got === 'number') return 'nothing'
  libc.close(fd)
  if (got.bytes.length === 0) return 'closed'
  for (const passed of got.fds) libc.close(passed)
  const view = new DataView(got.bytes.buffer)
  const { magic, result, slot } = layout.CTL_REPLY
  t.equal(view.getUint32(magic, true), layout.ABI_MAGIC)
  return [view.getInt32(result, true), view.getUint32(slot, true), got.fds.length]
}

t.test('attach gives a slot and the region, slot gives a slot', async t => {
  const { ask, sessions, told } = make(t)
  t.same(ask(request(layout.CTL_ATTACH, 0, TOKEN)), [0, 1, 1])
  t.equal(sessions.count, 1)
  // The same process again, in several threads: they have one slot.
  t.same(ask(request(layout.CTL_SLOT, 0, TOKEN)), [0, 1, 0])
  t.same(ask(request(layout.CTL_SLOT, 0, TOKEN)), [0, 1, 0])
  t.same(told, [])
  // An exec: what the old image held is nobody's.
  t.same(ask(request(layout.CTL_ATTACH, 0, TOKEN)), [0, 2, 1])
  t.same(told, ['ended 1'])
  t.equal(sessions.count, 1)
})

t.test('the owner needs no token', async t => {
  const { ask } = make(t)
  t.same(ask(request(layout.CTL_ATTACH, 0, Buffer.alloc(16))), [0, 1, 1])
})

for (const [title, message, want] of [
  ['another magic number', request(layout.CTL_ATTACH, 0, TOKEN, 1), -EPROTO],
  ['another version', request(layout.CTL_ATTACH, 0, TOKEN, layout.ABI_MAGIC, 99), -EPROTO],
  ['an operation that is none', request(77, 0, TOKEN), -EPROTO],
  ['operation 0', request(0, 0, TOKEN), -EPROTO],
  ['a fault, without leave', request(layout.CTL_FAULT, layout.FAULT_LOOP, TOKEN), -EPROTO],
  ['a byte more', Buffer.concat([request(layout.CTL_ATTACH, 0, TOKEN), Buffer.alloc(1)]), -EPROTO],
] as const)
  t.test(`${title} is refused`, async t => {
    const { ask, sessions } = make(t)
    t.same(ask(message), [want, 0, 0])
    t.equal(sessions.count, 0)
  })

t.test('a request cut short at every length is refused', async t => {
  const { ask, sessions } = make(t)
  const whole = request(layout.CTL_ATTACH, 0, TOKEN)
  for (let n = 1; n < whole.length; n++) t.same(ask(whole.subarray(0, n)), [-EPROTO, 0, 0], `${n}`)
  t.equal(sessions.count, 0)
})

t.test('faults, with leave', async t => {
  const { ask, told } = make(t, true)
  const { FAULT_THROW, FAULT_LOOP, FAULT_UNCAUGHT } = layout
  for (const fault of [FAULT_THROW, FAULT_LOOP, FAULT_UNCAUGHT])
    t.same(ask(request(layout.CTL_FAULT, fault, TOKEN)), [0, 0, 0])
  t.same(told, ['throw', 'loop', 'uncaught'])
  for (const none of [0, 4, 0xffffffff])
    t.same(ask(request(layout.CTL_FAULT, none, TOKEN)), [-EINVAL, 0, 0])
  t.equal(told.length, 3)
})

t.test('launch brings the listener, or none', async t => {
  const { ask, told } = make(t)
  const passed = libc.memfdCreate('listener', 0)
  t.same(ask(request(layout.CTL_LAUNCH, 0, TOKEN), [passed]), [0, 0, 0])
  t.same(ask(request(layout.CTL_LAUNCH, 0, TOKEN)), [0, 0, 0])
  t.same(told, ['launched true', 'launched false'])
})

t.test('a request that comes late is waited for, without sleeping', async t => {
  const { connect, turn, sessions } = make(t)
  const fd = connect()
  const before = performance.now()
  turn()
  t.ok(performance.now() - before < 1000)
  t.equal(answer(fd), 'nothing')
  sendWithFds(fd, request(layout.CTL_ATTACH, 0, TOKEN), [])
  turn()
  t.same(answer(fd), [0, 1, 1])
  t.equal(sessions.count, 1)
})

t.test('of those who say nothing the oldest has to go', async t => {
  const { connect, turn } = make(t)
  const fds = Array.from({ length: 300 }, connect)
  while (turn() > 0);
  t.equal(answer(fds[0]!), 'closed')
  const last = fds.at(-1)!
  t.equal(answer(last), 'nothing')
  sendWithFds(last, request(layout.CTL_ATTACH, 0, TOKEN), [])
  turn()
  t.same(answer(last), [0, 1, 1])
  for (const fd of fds.slice(1, -1)) libc.close(fd)
  while (turn() > 0);
})

t.test('a process that ends gives its slot back', async t => {
  const { turn, sessions, told } = make(t)
  const name = `@ioth-test/${process.pid}/${count - 1}`
  const script = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect('\\0' + sys.argv[1])
s.send(bytes.fromhex(sys.argv[2])); print(s.recv(100).hex(), flush=True); sys.stdin.readline()`
  const digits = request(layout.CTL_ATTACH, 0, TOKEN).toString('hex')
  const child = start(t, 'python3', ['-c', script, name.slice(1), digits])
  for (let i = 0; i < 200 && sessions.count === 0; i++) {
    turn(50)
    await new Promise(setImmediate)
  }
  await child.says(/^[0-9a-f]{32}/)
  t.same(told, [])
  child.child.stdin!.end('\n')
  await child.ends()
  turn(1000)
  t.same(told, ['ended 1'])
  t.equal(sessions.count, 0)
})

const skip = process.geteuid!() !== 0 && 'needs root, to become another user'

t.test('a stranger without the token gets EACCES, with it a slot', { skip }, async t => {
  const { turn, connect, sessions } = make(t)
  for (const [token, want] of [
    [Buffer.alloc(16), [-EACCES, 0, 0]],
    [TOKEN, [0, 1, 1]],
  ] as const) {
    process.seteuid!(65534)
    const fd = connect()
    process.seteuid!(0)
    sendWithFds(fd, request(layout.CTL_ATTACH, 0, token), [])
    turn()
    t.same(answer(fd), want)
  }
  t.equal(sessions.count, 1)
})
