import t from 'tap'
import { socketFiles } from '../../src/view/proc-sockets.ts'
import type { SocketView } from '../../src/view/sockets.ts'
import { addr } from '../helpers/net.ts'

const AF_INET = 2
const AF_INET6 = 10

const info = new Uint8Array(248)
const view = new DataView(info.buffer)
view.setUint32(8, 204_000, true) // RTO, µs
view.setUint32(12, 40_000, true) // ATO
view.setUint32(76, 0x7fffffff, true) // ssthresh: none yet
view.setUint32(80, 10, true) // cwnd

const socket = (o: Partial<SocketView>): SocketView => ({
  protocol: 6,
  family: AF_INET,
  state: 10,
  local: addr('127.0.0.1'),
  localPort: 80,
  remote: addr('0.0.0.0'),
  remotePort: 0,
  device: 0,
  receiveQueue: 0,
  sendQueue: 0,
  receiveBuffer: 0,
  sendBuffer: 0,
  uid: 0,
  inode: 9229473,
  cookie: [0, 0],
  timer: 0,
  expires: 0,
  retransmissions: 0,
  v6only: false,
  shutdown: 0,
  drops: 0,
  info: undefined,
  congestion: undefined,
  ...o,
})
const connection = { state: 1, remote: addr('127.0.0.1'), remotePort: 46830, info: () => info }

/** Lines that Linux wrote for such sockets, but for the address of struct sock. */
for (const [name, file, s, want] of [
  [
    'a listener',
    'tcp',
    socket({ sendQueue: 5 }),
    '   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 9229473 1 0000000000000000 100 0 0 10 0                   ',
  ],
  [
    'a connection with text to read',
    'tcp',
    socket({ ...connection, receiveQueue: 3, inode: 9229475 }),
    '   0: 0100007F:0050 0100007F:B6EE 01 00000000:00000003 00:00000000 00000000     0        0 9229475 1 0000000000000000 20 4 0 10 -1                   ',
  ],
  [
    'text on its way, sent again twice, of another user',
    'tcp',
    socket({
      ...connection,
      sendQueue: 16,
      timer: 1,
      expires: 1230,
      retransmissions: 2,
      uid: 65534,
    }),
    '   0: 0100007F:0050 0100007F:B6EE 01 00000010:00000000 01:0000007B 00000002 65534        0 9229473 1 0000000000000000 20 4 0 10 -1                   ',
  ],
  [
    'IPv4 of an IPv6 socket',
    'tcp6',
    socket({ ...connection, family: AF_INET6, localPort: 81, inode: 0 }),
    '   0: 0000000000000000FFFF00000100007F:0051 0000000000000000FFFF00000100007F:B6EE 01 00000000:00000000 00:00000000 00000000     0        0 0 1 0000000000000000 20 4 0 10 -1',
  ],
  [
    'the IPv6 wildcard',
    'tcp6',
    socket({ family: AF_INET6, local: addr('::'), remote: addr('::'), receiveQueue: 1 }),
    '   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000001 00:00000000 00000000     0        0 9229473 1 0000000000000000 100 0 0 10 0',
  ],
  [
    'a UDP socket',
    'udp',
    socket({ protocol: 17, state: 7, localPort: 53, drops: 2 }),
    '    0: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 9229473 2 0000000000000000 2       ',
  ],
  [
    'a UDP socket of IPv6',
    'udp6',
    socket({
      protocol: 17,
      state: 7,
      family: AF_INET6,
      local: addr('::1'),
      localPort: 53,
      remote: addr('::'),
    }),
    '    0: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 9229473 2 0000000000000000 0',
  ],
] as [string, string, SocketView, string][])
  t.test(`/proc/net/${file}: ${name}`, async t => {
    for (const [other, text] of socketFiles) {
      const [head, ...lines] = text([s]).split('\n')
      t.match(head, /local_address +rem(ote)?_address +st tx_queue rx_queue tr tm->when retrnsmt/)
      t.same(lines, other === file ? [want, ''] : [''], other)
    }
  })
