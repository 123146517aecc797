import t from 'tap'
import { Configuration, type ConfigurationMemory } from '../../src/conf/configuration.ts'
import { noSettings, type Settings } from '../../src/conf/settings.ts'
import { formatAddress, parsePrefix } from '../../src/wire/address-text.ts'
import {
  BOOTREPLY,
  DHCPACK,
  DHCPDISCOVER,
  DHCPOFFER,
  emitDhcp,
  parseDhcp,
} from '../../src/wire/dhcp.ts'
import { emitDhcpv6, parseDhcpv6, REPLY, type IaNa } from '../../src/wire/dhcpv6.ts'
import { emitRouterAdvert, type RouterAdvert } from '../../src/wire/ndp.ts'
import { addr, arpFrame, arrive, macOf } from '../helpers/net.ts'
import { icmp6Frame, linkLocalOf } from '../helpers/net6.ts'
import { random } from '../helpers/random.ts'
import { Network, Node } from '../helpers/stacks.ts'
import { UdpSocket } from '../helpers/udp.ts'

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const names = ['', 'DISCOVER', 'OFFER', 'REQUEST', 'DECLINE', 'ACK', 'NAK', 'RELEASE']

/** A stack that is configured (station 1), a host with servers (2), and others. */
class Site {
  readonly node = new Node(1, { addresses: [] })
  readonly host: Node
  readonly net: Network
  readonly configuration: Configuration
  /** What the DHCP server was told, and what it gives. */
  readonly heard: string[] = []
  lease: [number, string][] = [
    [1, 'ffffff00'],
    [51, '00000e10'],
    [54, '0a000002'],
    [3, '0a000002'],
    [6, '0a000035'],
    [26, '0578'],
  ]
  silent = false
  /** When changes were told. */
  readonly changes: number[] = []

  constructor(
    settings: Partial<Settings>,
    others: Node[] = [],
    memory?: ConfigurationMemory,
    asks = false,
  ) {
    this.host = new Node(2, { addresses: ['10.0.0.2/24', 'fd00::2/64'] })
    this.net = new Network(this.node, this.host, ...others)
    const setup = {
      settings: { ...noSettings(), ...settings },
      secret: new Uint8Array(32),
      identity: 'test',
      asks,
      random: random(1),
    }
    this.configuration = new Configuration(this.node.stack, setup, 0, memory)
    const { node, configuration } = this
    node.stack.onConflict = (address, _mac, now) => configuration.conflict(address, now)
    node.stack.onLost = (address, _mac, now) => configuration.taken(address, now)
    configuration.linkUp(0, false)
    this.serve()
    this.net.turn = () => {
      const due = configuration.next <= this.net.now
      configuration.run(this.net.now)
      if (configuration.takeChange(this.net.now)) this.changes.push(this.net.now)
      node.next = Math.min(node.next, configuration.next)
      return this.answer() || due
    }
  }

  private dhcp!: UdpSocket
  private dhcp6!: UdpSocket
  private serve(): void {
    this.dhcp = new UdpSocket(this.host, 4, { broadcast: true })
    this.dhcp.bind('0.0.0.0', 67)
    this.dhcp6 = new UdpSocket(this.host, 6)
    this.dhcp6.bind('::', 547)
    this.dhcp6.join('ff02::1:2')
  }

  private answer(): boolean {
    const got = [...this.dhcp.got.splice(0), ...this.dhcp6.got.splice(0)]
    for (const { text, from, to } of got) {
      const bytes = Uint8Array.from(Buffer.from(text, 'latin1'))
      if (from.endsWith(':546')) this.answer6(bytes, from)
      else this.answer4(bytes, from, to)
    }
    return got.length > 0
  }

  private answer4(bytes: Uint8Array, from: string, to: string): void {
    const { type, xid, chaddr, ciaddr } = parseDhcp(bytes)!
    this.heard.push(`${names[type]} ${from} > ${to}`)
    if (this.silent || (type !== DHCPDISCOVER && type !== 3)) return
    const options = new Map(this.lease.map(([code, value]) => [code, hex(value)]))
    const kind = type === DHCPDISCOVER ? DHCPOFFER : DHCPACK
    const yiaddr = addr('10.0.0.7')
    const reply = emitDhcp({ op: BOOTREPLY, type: kind, xid, chaddr, yiaddr, options })
    this.dhcp.send(reply, ciaddr.isUnspecified ? '255.255.255.255' : formatAddress(ciaddr), 68)
  }

  ia: Partial<IaNa> = {
    t1: 500,
    t2: 800,
    addresses: [{ address: addr('fd00::77'), preferred: 1000, valid: 2000 }],
  }
  private answer6(bytes: Uint8Array, from: string): void {
    const { type, xid, clientId, ias } = parseDhcpv6(bytes)!
    this.heard.push(`v6 ${type}`)
    if (this.silent) return
    const ours = ias.map(ia => ({ ...ia, ...this.ia }))
    const fields = {
      xid,
      clientId,
      serverId: hex('000300010200000000ff'),
      ias: ours,
      dns: [addr('fd00::53')],
    }
    const reply = emitDhcpv6({ type: REPLY, rapidCommit: type === 1, ...fields })
    this.dhcp6.send(reply, from.slice(0, -4), 546)
  }

  advertise(advert: Partial<RouterAdvert>): void {
    const write = (b: Uint8Array, at: number) => emitRouterAdvert(b, at, advert)
    const frame = icmp6Frame(write, { src: linkLocalOf(2), dst: 'ff02::1' })
    arrive(
      this.node.stack,
      { bytes: frame, gsoSize: 0, checksumStart: 0, checksumOffset: 0 },
      this.net.now,
    )
    this.net.settle()
  }

  get addresses(): string {
    return this.configuration.obtained.addresses.join(' ')
  }
  get routes(): string {
    return this.configuration.obtained.routes.join(', ')
  }
}

const prefix = (text: string, valid: number) => ({
  prefix: parsePrefix(text)!,
  onLink: true,
  autonomous: true,
  validLifetime: valid,
  preferredLifetime: valid,
})
const SLAAC = { routers: true, slaac: 'eui64', dhcp6: 'routers' } as const
const OURS = 'fe80::ff:fe00:1/64'

t.test('what is given is there at once', async t => {
  const route = { destination: '10.1.0.0/16', gateway: '10.0.0.9', metric: 5 }
  const site = new Site({
    addresses: ['10.0.0.1/24', 'fd00::1/64'],
    routes: [route],
    mtu: 1400,
    dns: ['9.9.9.9'],
  })
  t.equal(site.addresses, `10.0.0.1/24 ${OURS} fd00::1/64`)
  t.equal(site.routes, '10.1.0.0/16 via 10.0.0.9')
  t.same(site.configuration.obtained.dns, ['9.9.9.9'])
  t.equal(site.node.stack.mtu, 1400)
  t.equal(site.configuration.readiness(0), 'ready')
  t.ok(site.configuration.takeChange(0))
  t.equal(site.configuration.next, Infinity)
  t.same(site.configuration.claims.map(formatAddress), ['10.0.0.1', 'fd00::1'])
  t.match(
    site.configuration.refusal('tap://x', 1399),
    /^cannot use mtu 1400: the network carries packets of 1399 bytes$/,
  )
  t.equal(site.configuration.refusal('tap://x', 1400), undefined)
  t.equal(site.configuration.release(0), true)
})

t.test('where nobody keeps a registry the link is asked for what is given first', async t => {
  const route = { destination: '0.0.0.0/0', gateway: '10.0.0.9', metric: 0 }
  const site = new Site({ addresses: ['10.0.0.1/24', '10.0.0.3/24', 'fd00::1/64'], routes: [route] }, [], undefined, true) // prettier-ignore
  const heard: string[] = []
  site.net.filter = (frame, from) => {
    if (from === site.node && frame.bytes[12] === 8 && frame.bytes[13] === 6)
      heard.push(`${site.net.now} ${frame.bytes.subarray(28, 32).join('.')}`)
    return frame
  }
  t.equal(site.addresses, `${OURS} fd00::1/64`)
  t.equal(site.configuration.readiness(0), 'waiting')
  t.ok(site.net.run(299) || site.configuration.readiness(site.net.now) === 'waiting')
  t.same(
    heard,
    ['0', '0', '100', '100', '200', '200'].map(at => `${at} 0.0.0.0`),
  )
  site.net.run(1)
  t.equal(site.configuration.readiness(site.net.now), 'ready')
  t.equal(site.addresses, `10.0.0.1/24 10.0.0.3/24 ${OURS} fd00::1/64`)
  t.equal(site.routes, '0.0.0.0/0 via 10.0.0.9')
  t.equal(site.configuration.refusal('tap://x', 1500), undefined)
})

t.test('an address that another station has is refused in one sentence, and not taken', async t => {
  const site = new Site({ addresses: ['10.0.0.2/24'] }, [], undefined, true)
  site.net.run(100)
  t.equal(site.configuration.readiness(site.net.now), 'ready', 'there is nothing to wait for')
  t.equal(
    site.configuration.refusal('tap://x', 1500),
    'cannot take 10.0.0.2: 02:00:00:00:00:02 has it on tap://x',
  )
  t.notMatch(site.addresses, '10.0.0.2')
})

t.test('a link that takes no frames denies nothing: the start goes on after a second', async t => {
  const site = new Site({ addresses: ['10.0.0.1/24'] }, [], undefined, true)
  site.node.sink.room = 0
  site.net.run(999)
  t.equal(site.configuration.readiness(site.net.now), 'waiting')
  site.net.run(1)
  t.equal(site.configuration.readiness(site.net.now), 'ready')
  t.equal(site.addresses, '10.0.0.1/24')
})

t.test('a DHCP lease becomes address, route, mtu and names', async t => {
  const site = new Site({ dhcp: true, dns: ['9.9.9.9'] })
  t.equal(site.configuration.readiness(0), 'waiting')
  t.ok(site.net.run(5000, () => site.configuration.readiness(site.net.now) === 'ready'))
  t.equal(site.net.now, 300, 'after its probes')
  t.same(site.heard, [
    'DISCOVER 0.0.0.0:68 > 255.255.255.255',
    'REQUEST 0.0.0.0:68 > 255.255.255.255',
  ])
  t.equal(site.addresses, '10.0.0.7/24')
  t.equal(site.routes, '0.0.0.0/0 via 10.0.0.2')
  t.same(site.configuration.obtained.dns, ['9.9.9.9', '10.0.0.53'])
  t.equal(site.configuration.obtained.lease, '10.0.0.2, for 3600 s')
  t.equal(site.node.stack.mtu, 1400)
  t.same(site.configuration.claims.map(formatAddress), ['10.0.0.7'])
  site.net.run(1000)
  t.same(site.changes, [0, 300])
})

t.test('without a DHCP server, but with IPv6: two questions are enough', async t => {
  const site = new Site({ ...SLAAC, dhcp: true })
  site.silent = true
  site.net.run(100)
  site.advertise({ lifetime: 1800, prefixes: [prefix('fd07::/64', 3600)] })
  site.net.run(5899)
  t.equal(site.configuration.readiness(5999), 'waiting')
  t.equal(site.configuration.readinessNext(5999), 6000)
  site.net.run(1)
  t.equal(site.configuration.readiness(6000), 'ready')
  t.equal(site.heard.filter(text => text.startsWith('DISCOVER')).length, 2)
  site.silent = false
  site.net.run(30_000)
  t.match(site.addresses, /^10\.0\.0\.7\/24 /, 'a lease is taken later, too')
})

t.test('a router without a prefix is no life without DHCP', async t => {
  const site = new Site({ ...SLAAC, dhcp: true, addresses: ['fd00::1/64'] })
  site.silent = true
  site.advertise({ lifetime: 1800 })
  t.equal(site.configuration.readiness(9999), 'waiting')
  t.equal(site.configuration.readiness(10_000), 'late')
})

t.test('a gateway outside of what was leased is on the link all the same', async t => {
  const lone = new Node(4, { addresses: ['10.9.9.9/24'] })
  const site = new Site({ dhcp: true }, [lone])
  site.lease = [
    [1, 'ffffffff'],
    [51, '00000e10'],
    [54, '0a000002'],
    [3, '0a090909'],
  ]
  site.net.run(1000)
  t.equal(site.addresses, '10.0.0.7/32')
  t.equal(site.routes, '10.9.9.9/32, 0.0.0.0/0 via 10.9.9.9')
  const out = new UdpSocket(site.node, 4)
  const arrived: string[] = []
  site.net.filter = (frame, from) => {
    const [type, dst] = [frame.bytes.subarray(12, 14), frame.bytes.subarray(30, 34).join('.')]
    if (from === site.node && type[1] === 0) arrived.push(`${frame.bytes[5]} ${dst}`)
    return frame
  }
  out.send('x', '192.0.2.1', 9)
  site.net.run(100)
  t.same(arrived, ['4 192.0.2.1'], 'by the MAC of the gateway')
})

t.test(
  'it is renewed, and when nobody answers any more it is gone with all that it gave',
  async t => {
    const site = new Site({ dhcp: true })
    site.net.run(1000)
    site.heard.length = 0
    site.net.run(1800_000)
    t.same(site.heard, ['REQUEST 10.0.0.7:68 > 10.0.0.2'])
    site.silent = true
    site.net.run(3600_000 - 10_000)
    t.equal(site.addresses, '10.0.0.7/24')
    site.net.run(20_000)
    t.equal(site.addresses, '')
    t.equal(site.routes, '')
    t.equal(site.node.stack.mtu, 1500)
    t.match(site.heard.at(-1), 'DISCOVER')
  },
)

t.test('no server: late after 10 s', async t => {
  const site = new Site({ dhcp: true })
  site.silent = true
  site.net.run(9999)
  t.equal(site.configuration.readiness(site.net.now), 'waiting')
  t.equal(site.configuration.readinessNext(6000), 10_000)
  t.equal(site.configuration.readiness(10_000), 'late')
})

t.test('an address that another station has is declined, and waited for anew', async t => {
  const other = new Node(3, { addresses: ['10.0.0.7/24'] })
  const site = new Site({ dhcp: true }, [other])
  site.net.run(9000)
  t.match(site.heard, [/DISCOVER/, /REQUEST/, 'DECLINE 0.0.0.0:68 > 255.255.255.255'])
  t.equal(site.addresses, '')
  t.equal(site.configuration.readiness(15_000), 'waiting')
  t.equal(site.configuration.readiness(25_000), 'late')
})

t.test('a conflict is answered; another one within 10 s is the end of the lease', async t => {
  const site = new Site({ dhcp: true })
  site.net.run(1000)
  const announce = () => {
    arrive(site.node.stack, arpFrame('request', macOf(3), '10.0.0.7', '10.0.0.7'), site.net.now)
    site.net.settle()
  }
  announce()
  site.net.run(10_001)
  announce()
  t.equal(site.addresses, '10.0.0.7/24')
  site.net.run(9999)
  announce()
  t.equal(site.addresses, '')
  t.match(site.heard.at(-1), 'DECLINE')
})

t.test('taken(): the switch gave the address to another station', async t => {
  const site = new Site({ dhcp: true, ...SLAAC })
  site.net.run(1000)
  site.advertise({ lifetime: 60, prefixes: [prefix('fd07::/64', 600)] })
  t.equal(site.addresses, `10.0.0.7/24 ${OURS} fd07::ff:fe00:1/64`)
  site.configuration.taken(addr('10.0.0.7'), 1000)
  site.configuration.taken(addr('fd07::ff:fe00:1'), 1000)
  t.equal(site.addresses, OURS)
})

t.test('a route through a network that DHCP will tell of waits for it', async t => {
  const route = { destination: '10.1.0.0/16', gateway: '10.0.0.9', metric: 0 }
  const site = new Site({ dhcp: true, routes: [route] })
  t.equal(site.routes, '')
  site.net.run(1000)
  t.equal(site.routes, '10.1.0.0/16 via 10.0.0.9, 0.0.0.0/0 via 10.0.0.2')
})

t.test('release() tells the server, and keeps the address until the end', async t => {
  const site = new Site({ dhcp: true })
  site.net.run(1000)
  t.equal(site.configuration.release(1000), false)
  site.net.run(199)
  t.equal(site.heard.at(-1), 'RELEASE 10.0.0.7:68 > 10.0.0.2')
  t.equal(site.heard.filter(line => line.startsWith('RELEASE')).length, 1)
  t.equal(site.addresses, '10.0.0.7/24')
  t.equal(site.configuration.release(1199), false)
  t.equal(site.configuration.release(1200), true)
})

t.test('the next thread of the stack goes on with what this one had', async t => {
  const site = new Site({ dhcp: true, ...SLAAC })
  site.net.run(1000)
  site.advertise({
    managed: true,
    lifetime: 60,
    prefixes: [prefix('fd07::/64', 600)],
    rdnss: [{ addresses: [addr('fd07::53')], lifetime: 600 }],
  })
  site.net.run(3000)
  const memory = structuredClone(site.configuration.memory)
  const next = new Site({ dhcp: true, ...SLAAC }, [], memory)
  const { obtained } = site.configuration
  t.same({ ...next.configuration.obtained, routes: obtained.routes }, obtained)
  t.match(next.routes, '::/0 via fe80::ff:fe00:2')
  t.match(next.routes, '0.0.0.0/0 via 10.0.0.2')
  t.match(obtained.addresses.join(' '), `10.0.0.7/24 ${OURS} fd07::ff:fe00:1/64 fd00::77/128`)
  next.net.run(4000)
  t.same(next.heard, [], 'and asks nobody')
})

t.test(
  'a router’s prefixes become addresses, its servers and domains are known for their time',
  async t => {
    const site = new Site(SLAAC)
    t.equal(site.addresses, OURS)
    t.equal(site.configuration.readiness(1499), 'waiting')
    t.equal(site.configuration.readiness(1500), 'ready', 'a router is not waited for long')
    site.net.run(100)
    site.advertise({
      lifetime: 60,
      prefixes: [prefix('fd07::/64', 600), prefix('fd08::/63', 600)],
      rdnss: [
        { addresses: [addr('fd07::53'), addr('ff02::1')], lifetime: 600 },
        { addresses: [addr('fd07::54')], lifetime: 900 },
      ],
      dnssl: [{ names: ['a.lab'], lifetime: 600 }],
    })
    t.equal(site.configuration.readiness(101), 'ready')
    t.equal(site.addresses, `${OURS} fd07::ff:fe00:1/64`)
    t.same(site.configuration.obtained.dns, ['fd07::53', 'fd07::54'])
    t.same(site.configuration.obtained.search, ['a.lab'])
    const told = site.changes.length
    site.net.run(600_000)
    t.same(site.configuration.obtained.dns, ['fd07::54'])
    t.same(site.configuration.obtained.search, [])
    t.ok(site.changes.length > told)
    t.equal(site.addresses, OURS, 'the prefix has ended')
    site.advertise({ lifetime: 60, rdnss: [{ addresses: [addr('fd07::54')], lifetime: 0 }] })
    t.same(site.configuration.obtained.dns, [], 'lifetime 0 takes it away')
  },
)

t.test('nobody fills the lists: of 20 servers eight are known, of 20 prefixes sixteen', async t => {
  const site = new Site(SLAAC)
  site.net.run(100)
  const many = Array.from({ length: 20 }, (_, i) => i)
  site.advertise({
    lifetime: 60,
    prefixes: many.map(i => prefix(`fd07:${i}::/64`, 600)),
    rdnss: [{ addresses: many.map(i => addr(`fd07::${i + 1}`)), lifetime: 600 }],
    dnssl: [{ names: many.map(i => `d${i}.lab`), lifetime: 600 }],
  })
  t.equal(site.configuration.obtained.dns.length, 8)
  t.equal(site.configuration.obtained.search.length, 8)
  t.equal(site.configuration.obtained.addresses.length, 17)
})

t.test('flag M: an address by DHCPv6, renewed, given back', async t => {
  const site = new Site(SLAAC)
  site.net.run(100)
  site.advertise({ managed: true, other: true, lifetime: 60 })
  t.equal(site.configuration.readiness(200), 'waiting')
  t.equal(site.configuration.readiness(3000), 'ready')
  site.net.run(2000)
  t.equal(site.configuration.readiness(site.net.now), 'ready')
  t.equal(site.addresses, `${OURS} fd00::77/128`)
  t.same(site.configuration.obtained.dns, ['fd00::53'])
  t.same(site.heard, ['v6 1'])
  site.net.run(501_000)
  t.same(site.heard, ['v6 1', 'v6 5'])
  site.ia = {
    t1: 500,
    t2: 800,
    addresses: [{ address: addr('fd00::78'), preferred: 1000, valid: 2000 }],
  }
  site.net.run(501_000)
  t.equal(site.addresses, `${OURS} fd00::78/128`, 'another one in its place')
  const { now } = site.net
  t.equal(site.configuration.release(now), false)
  site.net.settle()
  t.equal(site.configuration.release(now), true, 'the server has answered')
  t.equal(site.heard.at(-1), 'v6 8')
})

t.test('release() waits 2 s for a DHCPv6 server that is gone', async t => {
  const site = new Site({ routers: false, dhcp6: 'yes' })
  site.net.run(3000)
  site.silent = true
  t.equal(site.configuration.release(3000), false)
  site.net.run(1999)
  t.equal(site.configuration.release(4999), false)
  t.equal(site.configuration.release(5000), true)
})

t.test('flag O: names by DHCPv6, and no address', async t => {
  const site = new Site(SLAAC)
  site.net.run(100)
  site.advertise({ other: true, lifetime: 60 })
  t.equal(site.configuration.readiness(100), 'ready')
  site.net.run(3000)
  t.same(site.heard, ['v6 11'])
  t.equal(site.addresses, OURS)
  t.same(site.configuration.obtained.dns, ['fd00::53'])
})

t.test('an address that DHCPv6 gave and another station has is declined', async t => {
  const other = new Node(3, { addresses: ['fd00::77/64'] })
  const site = new Site({ dhcp6: 'yes' }, [other])
  // The other one has the address already, and does not only want it.
  site.silent = true
  site.net.run(2000)
  site.silent = false
  site.net.run(5000)
  t.ok(site.heard.includes('v6 9'), site.heard.join())
  t.equal(site.addresses, OURS)
})

for (const [kind, want] of [
  ['eui64', OURS],
  ['stable', 'another'],
] as const)
  t.test(`an address of ${kind} that another station has: ${want}`, async t => {
    const setup = { ...SLAAC, slaac: kind }
    const first = new Site(setup)
    first.net.run(100)
    first.advertise({ lifetime: 60, prefixes: [prefix('fd07::/64', 600)] })
    const [, address] = first.configuration.obtained.addresses
    const site = new Site(setup, [new Node(3, { addresses: [address] })])
    site.net.run(3000)
    site.advertise({ lifetime: 60, prefixes: [prefix('fd07::/64', 600)] })
    site.net.run(3000)
    if (kind === 'eui64') t.equal(site.addresses, OURS)
    else {
      t.match(site.addresses, /^fe80::ff:fe00:1\/64 fd07::\S+$/)
      t.notMatch(site.addresses, address)
    }
  })

t.test('linkUp() again asks whether the lease is still good', async t => {
  const site = new Site({ dhcp: true })
  site.net.run(1000)
  site.heard.length = 0
  site.configuration.linkDown()
  t.equal(site.configuration.next, Infinity)
  site.configuration.linkUp(site.net.now, true)
  site.net.settle()
  t.match(site.heard, [/^REQUEST/])
  t.equal(site.addresses, '10.0.0.7/24')
})

t.test(
  'however often a router speaks, changes are told every 100 ms, the last one too',
  async t => {
    const site = new Site(SLAAC)
    for (let i = 0; i < 500; i++) {
      site.advertise({
        lifetime: 60,
        rdnss: [{ addresses: [addr(`fd07::${i + 1}`)], lifetime: 1 }],
      })
      site.net.run(1)
    }
    site.net.run(200)
    t.ok(site.changes.length <= 8, `${site.changes}`)
    for (const [i, at] of site.changes.entries()) t.ok(i === 0 || at - site.changes[i - 1] >= 100)
    t.ok(site.changes.at(-1)! >= 499)
  },
)
