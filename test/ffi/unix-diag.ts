import t from 'tap'

import * as libc from '../../src/ffi/libc.ts'
import { peerIsOpen } from '../../src/ffi/unix-diag.ts'

t.test(
  'peerIsOpen(): until the last copy of the other end is closed, though this one is shut down',
  async t => {
    const pair = libc.socketpair(libc.SOCK_STREAM)
    if (typeof pair === 'number') return t.fail(`socketpair: errno ${-pair}`)
    const [a, b] = pair
    const copy = libc.fcntl(b, 0, 0)
    t.ok(peerIsOpen(a))
    libc.shutdown(a, libc.SHUT_RDWR)
    libc.close(b)
    t.ok(peerIsOpen(a))
    libc.close(copy)
    t.notOk(peerIsOpen(a))
    libc.close(a)
  },
)
