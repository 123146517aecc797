import t from 'tap'
import { Addresses, InterfaceAddress } from '../../../src/stack/net/addresses.ts'
import { formatAddress, parsePrefix } from '../../../src/wire/address-text.ts'
import { addr, host, interfaceAddress, ip } from '../../helpers/net.ts'

function holding(...texts: string[]) {
  const addresses = new Addresses()
  const changes: string[] = []
  addresses.onChange = ({ address, state }, gone) =>
    changes.push(`${gone ? '-' : '+'} ${formatAddress(address)} ${state}`)
  for (const text of texts) addresses.add(interfaceAddress(text))
  return { addresses, changes }
}

t.test('Addresses: added, looked up, removed, each change told and counted', async t => {
  const { addresses, changes } = holding('10.0.0.1/24', '10.9.0.1/16')
  t.equal(addresses.generation, 2)
  t.ok(addresses.hasWord(ip('10.9.0.1')))
  t.ok(addresses.has(addr('10.0.0.1')))
  t.notOk(addresses.has(addr('10.0.0.2')))
  t.ok(addresses.remove(addr('10.0.0.1')))
  t.notOk(addresses.remove(addr('10.0.0.1')))
  t.notOk(addresses.hasWord(ip('10.0.0.1')))
  t.equal(addresses.generation, 3)
  t.same(changes, ['+ 10.0.0.1 PREFERRED', '+ 10.9.0.1 PREFERRED', '- 10.0.0.1 PREFERRED'])
})

for (const [state, assigned] of [
  ['TENTATIVE', false],
  ['OPTIMISTIC', true],
  ['PREFERRED', true],
  ['DEPRECATED', true],
  ['DUPLICATED', false],
] as const)
  t.test(`${state}: ${assigned ? '' : 'not '}ours`, async t => {
    const { addresses } = holding('10.0.0.1/24')
    addresses.enter(addresses.all[0], state)
    t.equal(addresses.has(addr('10.0.0.1')), assigned)
    t.equal(addresses.hasWord(ip('10.0.0.1')), assigned)
    t.equal(addresses.onLinkWith(addr('10.0.0.9')) !== undefined, assigned)
    t.equal(addresses.isDirectedBroadcast(ip('10.0.0.255')), assigned)
  })

for (const [text, word, want] of [
  ['10.0.0.1/24', '10.0.0.255', true],
  ['10.0.0.1/24', '10.0.0.254', false],
  ['10.0.0.1/16', '10.0.255.255', true],
  ['10.0.0.0/31', '10.0.0.1', false],
  ['10.0.0.1/32', '10.0.0.1', false],
] as const)
  t.test(`isDirectedBroadcast(${word}) on ${text}: ${want}`, async t => {
    t.equal(holding(text).addresses.isDirectedBroadcast(ip(word)), want)
  })

t.test('lifetimes: PREFERRED, then DEPRECATED, then gone', async t => {
  const { addresses, changes } = holding()
  const prefix = parsePrefix('fd00::5/64')!
  addresses.add(new InterfaceAddress(prefix, 'slaac', 'PREFERRED', 1000, 3000))
  t.equal(addresses.next, 1000)
  addresses.run(999)
  t.equal(addresses.all[0].state, 'PREFERRED')
  addresses.run(1000)
  t.equal(addresses.all[0].state, 'DEPRECATED')
  t.equal(addresses.next, 3000)
  addresses.run(3000)
  t.same(addresses.all, [])
  t.equal(addresses.next, Infinity)
  t.same(changes, ['+ fd00::5 PREFERRED', '+ fd00::5 DEPRECATED', '- fd00::5 DEPRECATED'])
})

t.test('add() of an address that is there renews it, in its place', async t => {
  const { addresses } = holding('10.0.0.1/24', '10.0.0.2/24')
  const prefix = parsePrefix('10.0.0.1/24')!
  addresses.add(new InterfaceAddress(prefix, 'dhcp', 'PREFERRED', 5, 50))
  addresses.run(10)
  t.equal(addresses.all[0].state, 'DEPRECATED')
  addresses.add(new InterfaceAddress(prefix, 'dhcp', 'PREFERRED', 100, 500))
  t.equal(addresses.all[0].state, 'PREFERRED')
  t.equal(addresses.next, 100)
  addresses.add(new InterfaceAddress(parsePrefix('10.0.0.1/16')!, 'dhcp', 'PREFERRED', 1e9, 1e9))
  t.same(
    addresses.all.map(a => `${formatAddress(a.address)}/${a.prefixLength}`),
    ['10.0.0.2/24', '10.0.0.1/16'],
  )
})

t.test('an IPv4 address brings the route to its network, and takes it away again', async t => {
  const { ipv4 } = host(1, ['10.0.0.1/24'])
  ipv4.addresses.add(interfaceAddress('172.16.0.1/16'))
  t.equal(ipv4.routes.lookup(addr('172.16.9.9'))?.source?.d, ip('172.16.0.1'))
  ipv4.addresses.remove(addr('172.16.0.1'))
  t.equal(ipv4.routes.lookup(addr('172.16.9.9')), undefined)
  t.ok(ipv4.routes.lookup(addr('10.0.0.9')))
})
