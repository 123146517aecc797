import t from 'tap'
import {
  GROUP_IPV4_IFADDR,
  GROUP_IPV4_ROUTE,
  GROUP_LINK,
  GROUP_NEIGH,
  Monitor,
} from '../../src/netlink/monitor.ts'
import { parsePrefix } from '../../src/wire/address-text.ts'
import { addr, macOf } from '../helpers/net.ts'
import { Node } from '../helpers/stacks.ts'

const NEWLINK = 16
const NEWADDR = 20
const DELADDR = 21
const NEWROUTE = 24
const DELROUTE = 25
const NEWNEIGH = 28
const DELNEIGH = 29
type Stack = Node['stack']

for (const [name, change, want] of [
  ['nothing', () => {}, []],
  [
    'an address',
    s => s.addAddress(parsePrefix('10.7.0.5/16')!),
    [
      [GROUP_IPV4_IFADDR, NEWADDR],
      [GROUP_IPV4_ROUTE, NEWROUTE],
      [GROUP_IPV4_ROUTE, NEWROUTE],
      [GROUP_IPV4_ROUTE, NEWROUTE],
    ],
  ],
  [
    'an address that goes',
    s => s.removeAddress(addr('10.0.0.5')),
    [
      [GROUP_IPV4_IFADDR, DELADDR],
      [GROUP_IPV4_ROUTE, DELROUTE],
      [GROUP_IPV4_ROUTE, DELROUTE],
      [GROUP_IPV4_ROUTE, DELROUTE],
    ],
  ],
  [
    'one that comes and goes within a turn',
    s => {
      s.addAddress(parsePrefix('10.7.0.5/16')!)
      s.removeAddress(addr('10.7.0.5'))
    },
    [],
  ],
  [
    'the default route',
    s => s.removeRoutes(r => r.origin === 'static'),
    [[GROUP_IPV4_ROUTE, DELROUTE]],
  ],
  ['the mtu', s => s.nic.limitMtu(1400), [[GROUP_LINK, NEWLINK]]],
  ['the link', s => s.setSink(undefined), [[GROUP_LINK, NEWLINK]]],
  [
    'a neighbor',
    s => void s.ipv4.arp.neighbors.create(addr('10.0.0.9'), macOf(9)),
    [[GROUP_NEIGH, NEWNEIGH]],
  ],
  [
    'a neighbor that goes',
    s => s.ipv4.arp.neighbors.forget(addr('10.0.0.8'), 0),
    [[GROUP_NEIGH, DELNEIGH]],
  ],
] as [string, (stack: Stack) => unknown, number[][]][])
  t.test(`Monitor.look() tells ${name}, once`, async t => {
    const { stack } = new Node(5, { gateway: '10.0.0.1' })
    stack.ipv4.arp.neighbors.create(addr('10.0.0.8'), macOf(8))
    const monitor = new Monitor(stack, 0)
    change(stack)
    t.same(
      monitor.look(0).map(({ group, type }) => [group, type]),
      want,
    )
    t.same(monitor.look(0), [])
  })
