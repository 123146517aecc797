import t from 'tap'
import { RouteTable, nextHop } from '../../../src/stack/net/route.ts'
import { formatIpv4, parsePrefix } from '../../../src/wire/address-text.ts'
import { ip } from '../../helpers/net.ts'

function tableOf(...routes: [prefix: string, gateway: string, metric: number][]) {
  const table = new RouteTable()
  for (const [text, via, metric] of routes) {
    const { address, prefixLength } = parsePrefix(text)!
    const gateway = via === '' ? undefined : ip(via)
    table.add({ prefix: address.d, prefixLength, gateway, source: ip('10.0.0.1'), metric })
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
    const route = table.lookup(ip(dst))!
    t.equal(formatIpv4(nextHop(route, ip(dst))), want)
  })

t.test('RouteTable without a default route knows no way out', async t => {
  const table = tableOf(['10.0.0.1/24', '', 0])
  t.ok(table.lookup(ip('10.0.0.200')))
  t.equal(table.lookup(ip('10.0.1.200')), undefined)
  t.equal(new RouteTable().lookup(0), undefined)
})
