import t from 'tap'
import * as libc from '../../src/ffi/libc.ts'
import {
  recvWithFds,
  sendWithFds,
  unixConnect,
  unixListen,
  unixPeerName,
  unixSocket,
} from '../../src/ffi/unix.ts'

const NAME = `@ioth-test-${process.pid}`

t.test('unixConnect(), accept4() and unixPeerName() over an abstract name', async t => {
  const listener = unixListen(libc.SOCK_SEQPACKET, NAME, 4)
  t.ok(listener >= 0)
  const a = unixSocket(libc.SOCK_SEQPACKET)
  t.equal(unixConnect(a, NAME), 0)
  const b = libc.accept4(listener, libc.SOCK_CLOEXEC | libc.SOCK_NONBLOCK)
  t.ok(b >= 0)
  t.equal(unixPeerName(a), NAME)
  t.same(libc.peerCredentials(b)?.pid, process.pid)

  const event = libc.eventfd()
  t.equal(sendWithFds(a, Buffer.from('here'), [event]), 4)
  const got = recvWithFds(b, 100)
  if (typeof got === 'number') return t.fail(`recvmsg: errno ${-got}`)
  t.equal(Buffer.from(got.bytes).toString(), 'here')
  t.equal(got.fds.length, 1)
  libc.eventfdSignal(got.fds[0]!)
  t.equal(libc.eventfdClear(event), 8, 'the descriptor passed is the same eventfd')
  for (const fd of [listener, a, b, event, ...got.fds]) t.equal(libc.close(fd), 0)
})

t.test('unixListen() on a name in use fails with EADDRINUSE', async t => {
  const first = unixListen(libc.SOCK_STREAM, NAME, 1)
  t.equal(unixListen(libc.SOCK_STREAM, NAME, 1), -98)
  libc.close(first)
})

t.test('a path longer than sun_path fails with ENAMETOOLONG', async t => {
  t.equal(unixListen(libc.SOCK_STREAM, '/tmp/' + 'x'.repeat(120), 1), -36)
})

t.test('mmap() of a memfd is the same memory twice', async t => {
  const fd = libc.memfdCreate('test', 1)
  t.equal(libc.ftruncate(fd, 8192), 0)
  const a = new Uint8Array(libc.view(libc.mmap(fd, 8192), 8192))
  const b = new Uint8Array(libc.view(libc.mmap(fd, 8192), 8192))
  a[5000] = 7
  t.equal(b[5000], 7)
  libc.punchHole(fd, 4096, 4096)
  t.equal(a[5000], 0)
  libc.close(fd)
})

t.test('mmap() of a closed descriptor fails with EBADF', async t => {
  t.equal(libc.mmap(99999, 4096), -9)
})

t.test('waitReadable() leaves the loop running', async t => {
  const event = libc.eventfd()
  let ticks = 0
  const timer = setInterval(() => ++ticks === 3 && libc.eventfdSignal(event), 5)
  t.equal(await libc.waitReadable(event), 1)
  clearInterval(timer)
  t.ok(ticks >= 3)
  libc.close(event)
})
