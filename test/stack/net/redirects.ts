import t from 'tap'
import { ANY_V4, Address } from '../../../src/wire/address.ts'
import { formatAddress } from '../../../src/wire/address-text.ts'
import { ETHERTYPE_IPV4 } from '../../../src/wire/ethernet.ts'
import { emitIcmp } from '../../../src/wire/icmpv4.ts'
import { addr, arrive, ethernet, host, ip, ipv4Packet, macOf } from '../../helpers/net.ts'

const FAR = '8.8.8.8'

/** Host 1 with gateway 10.0.0.254, which has sent to 8.8.8.8. */
function one() {
  const it = host(1, ['10.0.0.1/24', '10.0.1.1/24'], '10.0.0.254')
  it.ipv4.path(ANY_V4, addr(FAR), 6)
  return it
}

function redirect({
  from = '10.0.0.254',
  gateway = '10.0.0.9',
  src = '10.0.0.1',
  dst = FAR,
  protocol = 6,
  code = 1,
  quote = 28,
} = {}): Uint8Array {
  const quoted = ipv4Packet(new Uint8Array(8), { src, dst, protocol }).subarray(0, quote)
  const message = new Uint8Array(8 + quoted.length)
  message.set(quoted, 8)
  emitIcmp(message, 0, message.length, 5, code, ip(gateway))
  const packet = ipv4Packet(message, { src: from, protocol: 1 })
  return ethernet(macOf(1), macOf(2), ETHERTYPE_IPV4, packet)
}

const hop = (h: ReturnType<typeof one>, dst = FAR) => formatAddress(h.ipv4.hopFor(addr(dst))!)

// RFC 1122 section 3.2.2.2, and Linux's secure redirects.
for (const [name, fields, want] of [
  ['of its gateway, for a host', {}, '10.0.0.9'],
  ['for a network: for the host all the same', { code: 0 }, '10.0.0.9'],
  ['for a type of service', { code: 3 }, '10.0.0.9'],
  ['to a neighbor on our other network', { gateway: '10.0.1.9' }, '10.0.1.9'],
  ['of another host', { from: '10.0.0.253' }, undefined],
  ['of a stranger', { from: '9.9.9.9' }, undefined],
  ['to a gateway that is no neighbor', { gateway: '9.9.9.9' }, undefined],
  ['to ourselves', { gateway: '10.0.0.1' }, undefined],
  ['to everybody', { gateway: '10.0.0.255' }, undefined],
  ['to the gateway that it is', { gateway: '10.0.0.254' }, undefined],
  ['about what another host sent', { src: '10.0.0.7' }, undefined],
  ['about where we did not send', { dst: '8.8.4.4' }, undefined],
  ['about another protocol', { protocol: 17 }, undefined],
  ['about a neighbor', { dst: '10.0.0.7', from: '10.0.0.7' }, undefined],
  ['of an unknown code', { code: 4 }, undefined],
  ['that quotes too little', { quote: 19 }, undefined],
] as const)
  t.test(`a redirect ${name}: ${want === undefined ? 'refused' : 'taken'}`, async t => {
    const h = one()
    arrive(h.nic, redirect(fields), 5000)
    t.equal(hop(h), want ?? '10.0.0.254')
    t.equal(hop(h, '8.8.8.9'), '10.0.0.254', 'others go as before')
    const { redirectsIn, redirectRefused, icmpMalformed } = h.ipv4.counters
    t.equal(redirectsIn, 1)
    t.equal(redirectRefused + icmpMalformed, want === undefined ? 1 : 0)
  })

t.test('a path in use goes the other way from the next packet on, for five minutes', async t => {
  const h = one()
  for (const [n, gateway] of [
    [9, '10.0.0.9'],
    [254, '10.0.0.254'],
  ] as const)
    h.arp.neighbors.create(addr(gateway), macOf(n))
  const path = h.ipv4.path(ANY_V4, addr(FAR), 6)
  if (typeof path === 'number') return t.fail(`${path}`)
  const sentTo = () => {
    path.open(20)
    path.close(20, 0, 16)
    return h.sink.take().at(-1)!.bytes[5]
  }
  t.equal(sentTo(), 254)
  arrive(h.nic, redirect(), 5000)
  t.equal(sentTo(), 9)
  h.ipv4.run(5000 + 299_999)
  t.equal(hop(h), '10.0.0.9')
  h.ipv4.run(5000 + 300_000)
  t.equal(hop(h), '10.0.0.254')
  t.equal(sentTo(), 254)
})

t.test('a gateway that does not answer is given up', async t => {
  const h = one()
  arrive(h.nic, redirect(), 5000)
  h.arp.neighbors.resolve(addr('10.0.0.9'))
  for (let now = 5000; now < 10_000; now += 1000) h.arp.run(now)
  t.equal(hop(h), '10.0.0.254')
})

t.test('a change of addresses forgets redirects', async t => {
  const h = one()
  arrive(h.nic, redirect({ gateway: '10.0.1.9' }), 5000)
  t.equal(hop(h), '10.0.1.9')
  h.ipv4.addresses.remove(addr('10.0.1.1'))
  t.equal(hop(h), '10.0.0.254')
})

t.test('64 redirects are remembered, the oldest goes', async t => {
  const h = one()
  for (let i = 0; i < 100; i++) {
    const dst = formatAddress(Address.v4(ip('9.0.0.0') + i))
    h.ipv4.path(ANY_V4, addr(dst), 6)
    arrive(h.nic, redirect({ dst }), 5000 + i)
  }
  t.equal(h.routes.all.filter(route => route.origin === 'redirect').length, 64)
  t.equal(hop(h, '9.0.0.35'), '10.0.0.254')
  t.equal(hop(h, '9.0.0.36'), '10.0.0.9')
})
