import t from 'tap'
import { diagRequest } from '../../src/netlink/diag.ts'
import type { SocketView } from '../../src/view/sockets.ts'
import { attribute, concat, i32s, u8s, viewOf } from '../../src/wire/netlink.ts'
import { addr } from '../helpers/net.ts'
import { DUMP, attributeOf, contextOf, request } from '../helpers/rtnetlink.ts'
import { Node } from '../helpers/stacks.ts'

const BY_FAMILY = 20
const MESSAGE = 72

const socket = (over: Partial<SocketView>): SocketView => ({
  protocol: 6,
  family: 2,
  state: 1,
  local: addr('10.0.0.5'),
  localPort: 80,
  remote: addr('10.0.0.6'),
  remotePort: 40000,
  device: 0,
  receiveQueue: 5,
  sendQueue: 6,
  receiveBuffer: 1000,
  sendBuffer: 2000,
  uid: 7,
  inode: 4711,
  cookie: [1, 2],
  timer: 1,
  expires: 200,
  retransmissions: 3,
  v6only: false,
  shutdown: 2,
  drops: 0,
  info: () => Uint8Array.of(1, 2, 3, 4),
  congestion: 'cubic',
  ...over,
})

const ALL = [
  socket({}),
  socket({ state: 10, localPort: 81, remote: addr('0.0.0.0'), remotePort: 0 }),
  socket({ family: 10, localPort: 82 }),
  socket({ family: 10, localPort: 83, local: addr('fd00::5'), remote: addr('fd00::6') }),
  socket({ protocol: 17, localPort: 53, state: 7, info: undefined, congestion: undefined }),
]

/** struct inet_diag_req_v2. */
interface Question {
  family: number
  protocol?: number
  wants?: number
  states?: number
  localPort?: number
  more?: Uint8Array
}
function question(q: Question): Uint8Array {
  const body = new Uint8Array(56)
  const view = viewOf(body)
  body.set([q.family, q.protocol ?? 6, q.wants ?? 0])
  view.setUint32(4, q.states ?? 0xffffffff, true)
  view.setUint16(8, q.localPort ?? 0)
  return concat([body, q.more ?? new Uint8Array(0)])
}

const ask = (flags: number, body: Uint8Array, type = BY_FAMILY) => {
  const context = { ...contextOf(new Node(5).stack), sockets: () => ALL }
  const outcome = diagRequest(context, request(type, flags, body))
  if (outcome === undefined || 'errno' in outcome) return outcome?.errno
  return 'list' in outcome ? [...outcome.list].map(({ body }) => body) : [outcome.body]
}
const ports = (found: ReturnType<typeof ask>) =>
  Array.isArray(found) ? found.map(body => viewOf(body).getUint16(4)) : found

for (const [name, q, want] of [
  ['IPv4', { family: 2 }, [80, 81]],
  ['IPv6, v4-mapped ones too', { family: 10 }, [82, 83]],
  ['of a state', { family: 2, states: 1 << 10 }, [81]],
  ['of no state', { family: 2, states: 0 }, []],
  ['UDP', { family: 2, protocol: 17 }, [53]],
  ['of a port', { family: 2, localPort: 80 }, [80]],
  ['MPTCP, whose number comes beside', { family: 2, more: attribute(3, i32s(262)) }, []],
  ['AF_UNIX: there are none', { family: 1 }, []],
  ['a family that is not', { family: 99 }, -2],
] as [string, Question, number[] | number][])
  t.test(`SOCK_DIAG_BY_FAMILY, a dump: ${name}`, async t => {
    t.same(ports(ask(DUMP, question(q))), want)
  })

t.test('SOCK_DIAG_BY_FAMILY: what is told of a connection', async t => {
  const [body] = ask(DUMP, question({ family: 2, localPort: 80 })) as Uint8Array[]
  const view = viewOf(body)
  t.same([...body.subarray(0, 4)], [2, 1, 1, 3])
  t.same([...body.subarray(8, 12)], [10, 0, 0, 5])
  t.same([...body.subarray(24, 28)], [10, 0, 0, 6])
  t.same(
    [52, 56, 60, 64, 68].map(at => view.getUint32(at, true)),
    [200, 5, 6, 7, 4711],
  )
  t.equal(attributeOf(body, MESSAGE, 2), undefined)
  const [more] = ask(DUMP, question({ family: 2, localPort: 80, wants: 2 | 8 })) as Uint8Array[]
  t.equal(attributeOf(more, MESSAGE, 2), '01020304')
  t.equal(Buffer.from(attributeOf(more, MESSAGE, 4)!, 'hex').toString(), 'cubic\0')
})

t.test('SOCK_DIAG_BY_FAMILY: a v4-mapped name is shown as it is', async t => {
  const [body] = ask(DUMP, question({ family: 10, localPort: 82 })) as Uint8Array[]
  t.equal(Buffer.from(body.subarray(8, 24)).toString('hex'), '00000000000000000000ffff0a000005')
})

for (const [name, type, flags, body, want] of [
  ['too short', BY_FAMILY, DUMP, u8s(2), -22],
  ['a header cut short', BY_FAMILY, DUMP, new Uint8Array(55).fill(2), -22],
  ['the old request', 18, DUMP, question({ family: 2 }), -22],
  ['to destroy one', 21, 0, question({ family: 2 }), -95],
  ['one that is not', BY_FAMILY, 0, question({ family: 2, localPort: 9 }), -2],
] as [string, number, number, Uint8Array, number][])
  t.test(`sock_diag: ${name}`, async t => {
    t.equal(ask(flags, body, type), want)
  })
