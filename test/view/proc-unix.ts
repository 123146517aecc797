// /proc/net/unix without what the stack's own sockets are to the kernel.
import t from 'tap'

import { procUnix } from '../../src/view/proc-unix.ts'
import type { SocketView } from '../../src/view/sockets.ts'

const HEAD = 'Num       RefCount Protocol Flags    Type St Inode Path'
const line = (inode: number, path = '') =>
  `0000000000000000: 00000002 00000000 00010000 0001 01 ${inode}${path && ` ${path}`}`

t.test('procUnix()', async t => {
  const bus = line(10, '/run/dbus/socket')
  const lines = [
    HEAD,
    bus,
    line(11, '@ioth/0123456789abcdef/1.1'),
    line(12), // an accepted socket
    line(13),
    line(112, '@X11'),
    '',
  ]
  const shown = procUnix(lines.join('\n'), [{ inode: 12 } as SocketView])
  t.same(shown.split('\n'), [HEAD, bus, line(13), line(112, '@X11'), ''])
})
