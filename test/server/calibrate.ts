// What the plug and the tokens rest on, asked of this machine's kernel.
import t from 'tap'

import * as libc from '../../src/ffi/libc.ts'
import { unixConnect, unixListen, unixSocket } from '../../src/ffi/unix.ts'
import { calibrate } from '../../src/server/calibrate.ts'

const POLLOUT = 4
const name = (what: string) => `@ioth-test/${process.pid}/${what}`

t.test('so many messages take POLLOUT away, and reading them brings it back', async t => {
  const { plug, tokenSize } = calibrate(name('calibration'))
  t.ok(plug >= 2 && plug <= 4, `${plug} messages`)
  t.ok(tokenSize > 0, `a token is ${tokenSize} bytes`)
  const listener = unixListen(libc.SOCK_STREAM, name('plug'), 1)
  const end = unixSocket(libc.SOCK_STREAM)
  libc.setsockoptInt(end, libc.SOL_SOCKET, libc.SO_SNDBUF, 1)
  unixConnect(end, name('plug'))
  const server = libc.accept4(listener, libc.SOCK_CLOEXEC | libc.SOCK_NONBLOCK)
  const writable = () => libc.poll(end, POLLOUT, 0) > 0
  libc.send(end, libc.scratch, 1, libc.MSG_DONTWAIT) // the canary stays
  for (let i = 0; i < 3; i++) {
    t.ok(writable(), 'with the canary alone')
    for (let n = 1; n < plug; n++) libc.send(end, libc.scratch, 1, libc.MSG_DONTWAIT)
    t.notOk(writable(), 'plugged')
    t.equal(libc.recv(server, libc.scratch, plug - 1, libc.MSG_DONTWAIT), plug - 1)
  }
  for (let tokens = 1; tokens <= 3; tokens++) {
    libc.send(server, libc.scratch, 1, libc.MSG_DONTWAIT)
    t.equal(libc.outQueue(server), tokens * tokenSize, `${tokens} tokens unread`)
  }
  for (const fd of [listener, end, server]) libc.close(fd)
})

t.test('it leaves no name behind', async t => {
  calibrate(name('again'))
  t.doesNotThrow(() => calibrate(name('again')))
})
