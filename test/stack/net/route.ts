import t from 'tap'
import { RouteTable, nextHop } from '../../../src/stack/net/route.ts'
import { formatAddress, parsePrefix } from '../../../src/wire/address-text.ts'
import { addr } from '../../helpers/net.ts'

function tableOf(...routes: [prefix: string, gateway: string, metric: number][]) {
  const table = new RouteTable()
  for (const [text, via, metric] of routes) {
    table.add({
      destination: parsePrefix(text)!,
      gateway: via === '' ? undefined : addr(via),
      source: undefined,
      metric,
      origin: 'static',
      expires: Infinity,
    })
  }
  return table
}

const table = tableOf(
  ['0.0.0.0/0', '10.0.0.254', 0],
  ['10.0.0.1/24', '', 0],
  ['10.0.0.128/25', '10.0.0.2', 0],
  ['192.168.0.0/16', '10.0.0.3', 20],
  ['192.168.0.0/16', '10.0.0.4', 10],
  ['192.168.7.7/32', '10.0.0.5', 500],
)

for (const [dst, want] of [
  ['10.0.0.9', '10.0.0.9'],
  ['10.0.0.129', '10.0.0.2'],
  ['10.0.1.1', '10.0.0.254'],
  ['192.168.200.1', '10.0.0.4'],
  ['192.168.7.7', '10.0.0.5'],
  ['192.168.7.6', '10.0.0.4'],
  ['255.255.255.254', '10.0.0.254'],
] as const)
  t.test(`RouteTable: the next hop to ${dst} is ${want}`, async t => {
    const route = table.lookup(addr(dst))!
    t.equal(formatAddress(nextHop(route, addr(dst))), want)
  })

t.test('RouteTable without a default route knows no way out', async t => {
  const table = tableOf(['10.0.0.1/24', '', 0])
  t.ok(table.lookup(addr('10.0.0.200')))
  t.equal(table.lookup(addr('10.0.1.200')), undefined)
  t.equal(new RouteTable().lookup(addr('0.0.0.0')), undefined)
})

t.test('RouteTable: a route again takes the place of the first, and expires', async t => {
  const table = tableOf(['10.0.0.0/8', '10.0.0.2', 5])
  t.equal(table.next, Infinity)
  const [route] = table.all
  table.add({ ...route, expires: 1000 })
  t.equal(table.all.length, 1)
  table.add({ ...route, origin: 'dhcp' })
  t.equal(table.all.length, 2)
  t.equal(table.next, 1000)
  const { generation } = table
  table.run(999)
  t.equal(table.generation, generation)
  table.run(1000)
  t.same(
    table.all.map(({ origin }) => origin),
    ['dhcp'],
  )
  t.not(table.generation, generation)
  t.equal(
    table.remove(({ origin }) => origin === 'dhcp'),
    1,
  )
  t.equal(table.lookup(addr('10.1.1.1')), undefined)
})
