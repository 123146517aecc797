import t from 'tap'
import { DhcpClient, type DhcpAction, type DhcpMemory } from '../../src/conf/dhcp.ts'
import { formatAddress, formatPrefix, parseAddress } from '../../src/wire/address-text.ts'
import {
  BOOTREPLY,
  BOOTREQUEST,
  DHCPACK,
  DHCPDECLINE,
  DHCPDISCOVER,
  DHCPNAK,
  DHCPOFFER,
  DHCPRELEASE,
  DHCPREQUEST,
  emitDhcp,
  parseDhcp,
  type DhcpFields,
} from '../../src/wire/dhcp.ts'
import { parseMac } from '../../src/wire/mac.ts'
import { random } from '../helpers/random.ts'

const MAC = parseMac('02:00:00:00:00:05')!
const ip = (text: string) => parseAddress(text)!
const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const SERVER = ['54', 'c0a80001'] as const
const HOUR = ['51', '00000e10'] as const
const names = ['', 'DISCOVER', 'OFFER', 'REQUEST', 'DECLINE', 'ACK', 'NAK', 'RELEASE', 'INFORM']

/** A client on a clock that jumps, and a server that says what the test wants. */
class Life {
  now = 1000
  readonly client: DhcpClient
  /** What the client did, as lines; sends with the time since the last. */
  log: string[] = []
  sent: Uint8Array = new Uint8Array(0)
  private last = 1000

  constructor({
    seed = 1,
    name = undefined as string | undefined,
    memory = undefined as DhcpMemory | undefined,
  } = {}) {
    this.client = new DhcpClient({ mac: MAC, random: random(seed), name }, this.now, memory)
    this.run()
  }

  /** Lets time pass, deadline by deadline. */
  pass(ms: number): this {
    const end = this.now + ms
    while (this.client.next <= end) {
      this.now = Math.max(this.now, this.client.next)
      this.run()
    }
    this.now = end
    return this
  }

  run(): void {
    while (this.client.next <= this.now) this.take(this.client.run(this.now))
  }

  /** An answer to what was sent last; options as `[code, hex]`. */
  answer(
    type: number,
    options: readonly (readonly [string, string])[],
    fields: Partial<DhcpFields> = {},
  ): this {
    const { xid } = parseDhcp(this.sent)!
    const message = { op: BOOTREPLY, type, xid, chaddr: MAC, yiaddr: ip('192.168.0.7'), ...fields }
    const map = new Map(options.map(([code, value]) => [Number(code), hex(value)]))
    this.take(this.client.arrives(emitDhcp({ ...message, options: map }), this.now))
    this.run()
    return this
  }

  /** Up to an address in use. */
  bind(options: readonly (readonly [string, string])[] = [SERVER, HOUR, ['1', 'ffffff00']]): this {
    this.answer(DHCPOFFER, options).answer(DHCPACK, options)
    this.take(this.client.probed(true, this.now))
    this.log = []
    return this
  }

  take(actions: DhcpAction[]): this {
    for (const action of actions) this.log.push(this.line(action))
    return this
  }

  private line(action: DhcpAction): string {
    if (action.do === 'probe') return `probe ${formatAddress(action.address)}`
    if (action.do === 'lost') return `lost: ${action.why}`
    if (action.do === 'bound') return `bound ${formatPrefix(action.lease)}`
    this.sent = action.bytes
    const { type } = parseDhcp(action.bytes)!
    const after = Math.round((this.now - this.last) / 1000)
    this.last = this.now
    return `+${after}s ${names[type]} ${formatAddress(action.src)} > ${formatAddress(action.dst)}`
  }

  get log1(): string {
    return this.log.join('; ')
  }
}

t.test('INIT to BOUND', async t => {
  const life = new Life()
  t.same(life.log, ['+0s DISCOVER 0.0.0.0 > 255.255.255.255'])
  const discover = parseDhcp(life.sent)!
  t.equal(discover.op, BOOTREQUEST)
  t.equal(discover.type, DHCPDISCOVER)
  t.ok(discover.broadcast)
  t.ok(discover.ciaddr.isUnspecified)
  t.same([...discover.options.keys()], [61, 57, 55])
  t.same(discover.options.get(61), hex('01 020000000005'))
  t.same([...discover.options.get(55)!], [1, 121, 3, 6, 15, 119, 26, 58, 59])
  life.log = []

  life.answer(DHCPOFFER, [SERVER, HOUR])
  t.same(life.log, ['+0s REQUEST 0.0.0.0 > 255.255.255.255'])
  const request = parseDhcp(life.sent)!
  t.equal(request.type, DHCPREQUEST)
  t.equal(request.xid, discover.xid)
  t.ok(request.ciaddr.isUnspecified)
  t.same(request.options.get(50), hex('c0a80007'))
  t.same(request.options.get(54), hex('c0a80001'))
  life.log = []

  life.answer(DHCPACK, [SERVER, HOUR, ['1', 'ffffff00']])
  t.same(life.log, ['probe 192.168.0.7'])
  t.equal(life.client.state, 'CHECKING')
  t.equal(life.client.next, Infinity)
  life.log = []
  life.take(life.client.probed(true, life.now))
  t.same(life.log, ['bound 192.168.0.7/24'])
  t.equal(life.client.state, 'BOUND')
  t.equal(life.client.next, 1000 + 1800_000)
})

t.test('SELECTING: DISCOVER after 4, 8, 16, 32, 64, 64 s, each ± 1 s (seeds 1 to 20)', async t => {
  const all = new Set<number>()
  for (let seed = 1; seed <= 20; seed++) {
    const client = new DhcpClient({ mac: MAC, random: random(seed) }, 0)
    client.run(0)
    let now = 0
    for (const seconds of [4, 8, 16, 32, 64, 64]) {
      const wait = client.next - now
      t.ok(Math.abs(wait - 1000 * seconds) <= 1000, `${wait} ms`)
      all.add(wait)
      now = client.next
      t.equal(client.run(now).length, 1)
    }
  }
  t.ok(all.size > 100, 'they differ')
})

t.test('SELECTING: secs counts from the first DISCOVER, and the xid stays', async t => {
  const life = new Life()
  const { xid } = parseDhcp(life.sent)!
  life.pass(30_000)
  const last = parseDhcp(life.sent)!
  t.equal(last.xid, xid)
  t.ok(last.secs >= 10 && last.secs <= 30, `${last.secs}`)
})

t.test('another life has another xid', async t => {
  const life = new Life()
  t.not(parseDhcp(new Life({ seed: 2 }).sent)!.xid, parseDhcp(life.sent)!.xid)
})

t.test('REQUESTING: four requests, then all anew', async t => {
  const life = new Life()
  life.answer(DHCPOFFER, [SERVER, HOUR])
  life.log = []
  life.pass(70_000)
  t.equal(life.log.filter(line => line.includes('REQUEST')).length, 3)
  t.match(life.log[3], 'DISCOVER')
})

for (const [name, want] of [
  ['www.example.org', { 81: '05000003777777076578616d706c65036f726700' }],
  ['web', { 12: '776562' }],
] as const)
  t.test(`DISCOVER and REQUEST with the name ${name}`, async t => {
    const life = new Life({ name })
    const named = () => {
      const { options } = parseDhcp(life.sent)!
      const some = [...options].filter(([code]) => code === 81 || code === 12)
      return Object.fromEntries(
        some.map(([code, value]) => [code, Buffer.from(value).toString('hex')]),
      )
    }
    t.same(named(), want)
    life.answer(DHCPOFFER, [SERVER, HOUR])
    t.equal(parseDhcp(life.sent)!.type, DHCPREQUEST)
    t.same(named(), want)
  })

// ---- what is not taken

for (const [what, type, options, fields] of [
  ['another xid', DHCPOFFER, [SERVER, HOUR], { xid: 1 }],
  ['another station’s', DHCPOFFER, [SERVER, HOUR], { chaddr: parseMac('02:00:00:00:00:06')! }],
  ['a request', DHCPOFFER, [SERVER, HOUR], { op: BOOTREQUEST }],
  ['no server', DHCPOFFER, [HOUR], {}],
  ['a server that is all stations', DHCPOFFER, [['54', 'ffffffff'], HOUR], {}],
  ['no lease time', DHCPOFFER, [SERVER], {}],
  ['a lease of 0 s', DHCPOFFER, [SERVER, ['51', '00000000']], {}],
  ['no address', DHCPOFFER, [SERVER, HOUR], { yiaddr: ip('0.0.0.0') }],
  ['loopback’s address', DHCPOFFER, [SERVER, HOUR], { yiaddr: ip('127.0.0.7') }],
  ['a group’s address', DHCPOFFER, [SERVER, HOUR], { yiaddr: ip('224.0.0.7') }],
  ['all stations’ address', DHCPOFFER, [SERVER, HOUR], { yiaddr: ip('255.255.255.255') }],
  ['its network’s broadcast address', DHCPOFFER, [SERVER, HOUR, ['1', 'fffffff8']], {}],
  ['an ACK', DHCPACK, [SERVER, HOUR], {}],
  ['a NAK', DHCPNAK, [SERVER], {}],
  ['a DISCOVER', DHCPDISCOVER, [SERVER, HOUR], {}],
] as const)
  t.test(`SELECTING takes no offer: ${what}`, async t => {
    const life = new Life()
    life.log = []
    life.answer(type, options, fields)
    t.same(life.log, [])
    t.equal(life.client.state, 'SELECTING')
    life.answer(DHCPOFFER, [SERVER, HOUR])
    t.equal(life.client.state, 'REQUESTING', 'the next one is taken')
  })

for (const [what, type, options, fields] of [
  ['from another server', DHCPACK, [['54', 'c0a80002'], HOUR], {}],
  ['another address', DHCPACK, [SERVER, HOUR], { yiaddr: ip('192.168.0.8') }],
  ['no lease time', DHCPACK, [SERVER], {}],
  ['another xid', DHCPACK, [SERVER, HOUR], { xid: 1 }],
  ['another offer', DHCPOFFER, [SERVER, HOUR], {}],
  ['another server’s NAK', DHCPNAK, [['54', 'c0a80002']], {}],
  ['a NAK without a server', DHCPNAK, [], {}],
] as const)
  t.test(`REQUESTING takes no ACK: ${what}`, async t => {
    const life = new Life().answer(DHCPOFFER, [SERVER, HOUR])
    life.log = []
    life.answer(type, options, fields)
    t.same(life.log, [])
    t.equal(life.client.state, 'REQUESTING')
  })

t.test('a reply by way of a relay (giaddr) is one like others', async t => {
  const life = new Life()
  const relay = { giaddr: ip('192.168.0.254'), siaddr: ip('10.1.1.1') }
  const options = [['54', '0a010101'], HOUR] as const
  life.answer(DHCPOFFER, options, relay).answer(DHCPACK, options, relay)
  t.equal(life.client.state, 'CHECKING')
})

t.test(
  'garbage: every message with a byte changed or cut is taken or left, and no more (seed 7)',
  async t => {
    const next = random(7)
    const good = emitDhcp({
      op: BOOTREPLY,
      type: DHCPOFFER,
      xid: 0,
      chaddr: MAC,
      yiaddr: ip('192.168.0.7'),
      options: new Map([
        [54, hex('c0a80001')],
        [51, hex('00000e10')],
        [119, hex('036c616200')],
        [121, hex('000a000001')],
      ]),
    })
    for (let i = 0; i < 3000; i++) {
      const life = new Life({ seed: i + 1 })
      const bytes = good.slice(0, i % 2 ? good.length : 8 + (next() % (good.length - 8)))
      bytes.set(life.sent.subarray(4, 8), 4)
      for (let k = next() % 4; k >= 0; k--) bytes[next() % bytes.length] = next()
      life.take(life.client.arrives(bytes, life.now))
      life.pass(600_000)
      if (!['SELECTING', 'REQUESTING'].includes(life.client.state)) t.fail(life.client.state)
    }
  },
)

// ---- the lease's life

for (const [what, options, want] of [
  ['T1 and T2 by default', [['51', '00000064']], [50, 87.5, 100]],
  [
    'T1 and T2 as given',
    [
      ['51', '00000064'],
      ['58', '0000000a'],
      ['59', '00000014'],
    ],
    [10, 20, 100],
  ],
  [
    'T2 past the end',
    [
      ['51', '00000064'],
      ['59', '00000065'],
    ],
    [50, 87.5, 100],
  ],
  [
    'T1 past T2',
    [
      ['51', '00000064'],
      ['58', '00000041'],
      ['59', '00000040'],
    ],
    [50, 64, 100],
  ],
  [
    'T2 before T1’s default',
    [
      ['51', '00000064'],
      ['59', '00000020'],
    ],
    [28, 32, 100],
  ],
  [
    'T1 as T2',
    [
      ['51', '00000064'],
      ['58', '00000020'],
      ['59', '00000020'],
    ],
    [28, 32, 100],
  ],
  [
    'T1 of 0',
    [
      ['51', '00000064'],
      ['58', '00000000'],
    ],
    [50, 87.5, 100],
  ],
  [
    'a lease without end',
    [
      ['51', 'ffffffff'],
      ['58', '0000000a'],
    ],
    [Infinity, Infinity, Infinity],
  ],
] as const)
  t.test(`the lease’s times: ${what}`, async t => {
    const life = new Life()
    life.answer(DHCPOFFER, [SERVER, HOUR])
    life.pass(2000)
    life.answer(DHCPACK, [SERVER, ...options])
    const { renewAt, rebindAt, expiresAt } = life.client.lease!
    t.same(
      [renewAt, rebindAt, expiresAt].map(at => (at - 1000) / 1000),
      want,
      'from the request on',
    )
  })

t.test('BOUND without end does nothing for a year', async t => {
  const life = new Life().bind([SERVER, ['51', 'ffffffff'], ['1', 'ffffff00']])
  t.same(life.pass(365 * 86_400_000).log, [])
})

t.test('RENEWING: asks its server alone at T1, and is bound again', async t => {
  const life = new Life().bind()
  life.pass(1800_000)
  t.same(life.log, ['+1800s REQUEST 192.168.0.7 > 192.168.0.1'])
  const request = parseDhcp(life.sent)!
  t.equal(formatAddress(request.ciaddr), '192.168.0.7')
  t.notOk(request.broadcast)
  t.notOk(request.options.has(50) || request.options.has(54), 'section 4.3.2')
  life.pass(1000)
  life.log = []
  life.answer(DHCPACK, [SERVER, HOUR, ['1', 'ffffff00']])
  t.same(life.log, ['bound 192.168.0.7/24'], 'without a probe')
  t.equal(life.client.lease!.expiresAt, 1000 + 1800_000 + 3600_000, 'from the request on')
})

t.test(
  'RENEWING, REBINDING: repeated after half of what is left, a minute at least; then it is lost',
  async t => {
    const life = new Life().bind()
    life.pass(3600_000)
    const renew = 'REQUEST 192.168.0.7 > 192.168.0.1'
    const rebind = 'REQUEST 192.168.0.7 > 255.255.255.255'
    t.same(life.log, [
      `+1800s ${renew}`,
      `+675s ${renew}`,
      `+338s ${renew}`,
      `+169s ${renew}`,
      `+84s ${renew}`,
      `+60s ${renew}`,
      `+24s ${rebind}`,
      `+225s ${rebind}`,
      `+113s ${rebind}`,
      `+60s ${rebind}`,
      'lost: the lease expired',
      '+53s DISCOVER 0.0.0.0 > 255.255.255.255',
    ])
  },
)

t.test('REBINDING: another server may answer, and is asked from then on', async t => {
  const life = new Life().bind()
  life.pass(3200_000)
  t.equal(life.client.state, 'REBINDING')
  life.log = []
  life.answer(DHCPACK, [['54', 'c0a80002'], HOUR])
  t.same(life.log, ['bound 192.168.0.7/24'])
  life.log = []
  life.pass(1800_000)
  t.match(life.log[0], 'REQUEST 192.168.0.7 > 192.168.0.2')
})

t.test('BOUND: a machine that slept past the lease’s end has lost it', async t => {
  const life = new Life().bind()
  life.now += 4000_000
  life.run()
  t.match(life.log, ['lost: the lease expired', /DISCOVER/])
})

for (const [state, ms] of [
  ['RENEWING', 1800_000],
  ['REBINDING', 3200_000],
] as const) {
  t.test(`${state}: NAK`, async t => {
    const life = new Life().bind()
    life.pass(ms)
    life.log = []
    life.answer(DHCPNAK, [SERVER, ['56', '6e6f']])
    t.same(life.log, ['lost: refused: no'])
    t.match(life.pass(1000).log[1], 'DISCOVER')
  })
  t.test(`${state}: an ACK of another address is none`, async t => {
    const life = new Life().bind()
    life.pass(ms)
    life.log = []
    life.answer(DHCPACK, [SERVER, HOUR], { yiaddr: ip('192.168.0.8') })
    t.same(life.log, [])
    t.equal(life.client.state, state)
  })
}

t.test('RENEWING: another server’s NAK is none', async t => {
  const life = new Life().bind()
  life.pass(1800_000)
  life.log = []
  t.same(life.answer(DHCPNAK, [['54', 'c0a80002']]).log, [])
})

t.test('BOUND takes nothing: no late NAK, no ACK twice', async t => {
  const life = new Life().bind()
  life.answer(DHCPNAK, [SERVER]).answer(DHCPACK, [SERVER, HOUR])
  t.same(life.log, [])
})

t.test('REQUESTING: NAK after NAK waits 1, 2, 4 … 64 s', async t => {
  const life = new Life()
  const waits = []
  for (let i = 0; i < 8; i++) {
    life.answer(DHCPOFFER, [SERVER, HOUR]).answer(DHCPNAK, [SERVER])
    waits.push((life.client.next - life.now) / 1000)
    life.pass(life.client.next - life.now)
  }
  t.same(waits, [1, 2, 4, 8, 16, 32, 64, 64])
  life.bind()
  life.pass(1800_000)
  life.answer(DHCPNAK, [SERVER])
  t.equal(life.client.next - life.now, 1000, 'an ACK begins it anew')
})

// ---- conflicts

t.test(
  'CHECKING: an address that somebody has is declined, and 10 s later it all begins anew',
  async t => {
    const life = new Life().answer(DHCPOFFER, [SERVER, HOUR]).answer(DHCPACK, [SERVER, HOUR])
    const { xid } = parseDhcp(life.sent)!
    life.log = []
    life.take(life.client.probed(false, life.now))
    t.same(life.log, ['+0s DECLINE 0.0.0.0 > 255.255.255.255'])
    const decline = parseDhcp(life.sent)!
    t.equal(decline.type, DHCPDECLINE)
    t.not(decline.xid, xid)
    t.ok(decline.ciaddr.isUnspecified)
    t.same([...decline.options.keys()], [61, 50, 54])
    t.same(life.pass(9999).log.length, 1)
    t.match(life.pass(1).log[1], 'DISCOVER')
    t.equal(life.client.lease, undefined)
  },
)

t.test('BOUND: a conflict later is a loss and a DECLINE', async t => {
  const life = new Life().bind()
  life.take(life.client.conflict(life.now))
  t.same(life.log, [
    'lost: another station has the address',
    '+0s DECLINE 0.0.0.0 > 255.255.255.255',
  ])
  t.equal(life.client.next, life.now + 10_000)
  t.same(life.client.conflict(life.now), [], 'once')
})

t.test('probed() and conflict() when nobody asked', async t => {
  const life = new Life()
  t.same(life.client.probed(true, life.now), [])
  t.same(life.client.conflict(life.now), [])
})

// ---- the end, and what outlives it

t.test('release() in BOUND tells the server', async t => {
  const life = new Life().bind()
  life.take(life.client.release())
  t.same(life.log, ['+0s RELEASE 192.168.0.7 > 192.168.0.1', 'lost: released'])
  const release = parseDhcp(life.sent)!
  t.equal(release.type, DHCPRELEASE)
  t.equal(formatAddress(release.ciaddr), '192.168.0.7')
  t.same([...release.options.keys()], [61, 54])
  t.same(life.client.release(), [], 'once')
  t.same(life.client.linkUp(life.now), [])
  t.equal(life.client.next, Infinity)
})

for (const state of ['SELECTING', 'REQUESTING', 'CHECKING'] as const)
  t.test(`release() in ${state} has nothing to give back`, async t => {
    const life = new Life()
    if (state !== 'SELECTING') life.answer(DHCPOFFER, [SERVER, HOUR])
    if (state === 'CHECKING') life.answer(DHCPACK, [SERVER, HOUR])
    t.equal(life.client.state, state)
    t.same(life.client.release(), [])
    t.equal(life.client.next, Infinity)
  })

t.test('REBOOTING: the link was away, the server confirms', async t => {
  const life = new Life().bind()
  life.pass(100_000)
  life.take(life.client.linkUp(life.now))
  t.same(life.log, ['+100s REQUEST 0.0.0.0 > 255.255.255.255'])
  const request = parseDhcp(life.sent)!
  t.same(request.options.get(50), hex('c0a80007'))
  t.notOk(request.options.has(54), 'section 4.3.2')
  life.log = []
  life.answer(DHCPACK, [SERVER, HOUR])
  t.same(life.log, ['bound 192.168.0.7/24'])
})

t.test('REBOOTING: another network’s server refuses', async t => {
  const life = new Life().bind()
  life.take(life.client.linkUp(life.now))
  life.log = []
  life.answer(DHCPNAK, [['54', '0a000001']])
  t.same(life.log, ['lost: refused'])
})

t.test('REBOOTING: nobody answers, and the lease goes on as it was', async t => {
  const life = new Life().bind()
  life.take(life.client.linkUp(life.now))
  life.pass(20_000)
  t.equal(life.log.length, 2)
  t.equal(life.client.state, 'BOUND')
  t.equal(life.client.next, 1000 + 1800_000)
})

t.test('linkUp() without an address begins at once', async t => {
  const life = new Life()
  life.pass(200_000)
  life.log = []
  life.take(life.client.linkUp(life.now))
  t.match(life.log, [/DISCOVER/])
})

t.test('another client goes on with the lease, where it was', async t => {
  const life = new Life().bind()
  const { memory, lease } = life.client
  const next = new Life({ seed: 2, memory })
  t.same(next.log, [])
  t.same(next.client.lease, lease)
  t.match(next.pass(1800_000).log, ['+1800s REQUEST 192.168.0.7 > 192.168.0.1'])
  const late = new DhcpClient({ mac: MAC, random: random(1) }, 4000_000, memory)
  t.equal(late.state, 'INIT', 'unless it is over')
})

// ---- what a lease says

for (const [what, options, want] of [
  [
    'no mask: the class’s',
    [],
    { prefixLength: 24, routes: [], dns: [], search: [], mtu: undefined },
  ],
  ['a router', [['3', 'c0a80001c0a80002']], { routes: ['0.0.0.0/0 192.168.0.1'] }],
  ['itself as router', [['3', 'c0a80007']], { routes: [] }],
  [
    'classless routes, and a router that does not count',
    [
      ['3', 'c0a80001'],
      ['121', '080a c0a80002'],
    ],
    { routes: ['10.0.0.0/8 192.168.0.2'] },
  ],
  [
    'classless routes that lie: the router',
    [
      ['3', 'c0a80001'],
      ['121', '21'],
    ],
    { routes: ['0.0.0.0/0 192.168.0.1'] },
  ],
  [
    'routes to loopback and groups',
    [['121', '087f c0a80001 08e0 c0a80001 0800 c0a80001']],
    { routes: [] },
  ],
  ['a route by a group', [['121', '080a e0000001']], { routes: [] }],
  ['DNS servers', [['6', '08080808 7f000001 00000000 09090909']], { dns: ['8.8.8.8', '9.9.9.9'] }],
  ['a domain', [['15', '6c6162']], { search: ['lab'] }],
  [
    'a search list before the domain',
    [
      ['15', '6c6162'],
      ['119', '016100016200'],
    ],
    { search: ['a', 'b'] },
  ],
  ['an mtu', [['26', '0578']], { mtu: 1400 }],
  ['an mtu too small', [['26', '0044']], { mtu: undefined }],
] as const)
  t.test(`the lease: ${what}`, async t => {
    const life = new Life().answer(DHCPOFFER, [SERVER, HOUR])
    life.answer(DHCPACK, [SERVER, HOUR, ...options])
    const lease = life.client.lease!
    const routes = lease.routes.map(
      ({ prefix, gateway }) =>
        `${formatPrefix(prefix)} ${gateway ? formatAddress(gateway) : 'link'}`,
    )
    t.match({ ...lease, routes, dns: lease.dns.map(formatAddress) }, want)
    if ('routes' in want) t.equal(routes.length, want.routes.length)
    if ('dns' in want) t.equal(lease.dns.length, want.dns.length)
  })
