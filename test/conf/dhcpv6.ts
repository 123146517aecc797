import t from 'tap'
import { Dhcpv6Client, type Dhcpv6Action, type Dhcpv6Memory } from '../../src/conf/dhcpv6.ts'
import { formatAddress, parseAddress } from '../../src/wire/address-text.ts'
import {
  ADVERTISE,
  duidOf,
  emitDhcpv6,
  FOR_EVER,
  NO_ADDRS_AVAIL,
  NO_BINDING,
  NOT_ON_LINK,
  parseDhcpv6,
  REPLY,
  UNSPEC_FAIL,
  type Dhcpv6Fields,
  type IaNa,
} from '../../src/wire/dhcpv6.ts'
import { parseMac } from '../../src/wire/mac.ts'
import { random } from '../helpers/random.ts'

const MAC = parseMac('02:00:00:00:00:05')!
const IAID = 5
const ip = (text: string) => parseAddress(text)!
const SERVER = duidOf(parseMac('02:00:00:00:00:01')!)
const OTHER = duidOf(parseMac('02:00:00:00:00:02')!)
const types = [
  '',
  'SOLICIT',
  'ADVERTISE',
  'REQUEST',
  'CONFIRM',
  'RENEW',
  'REBIND',
  'REPLY',
  'RELEASE',
  'DECLINE',
  '',
  'INFORMATION-REQUEST',
]

/** An association with one address: fd00::7, preferred 1000 s, valid 2000 s, T1 500 s, T2 800 s. */
const ia = (
  fields: Partial<IaNa> & { preferred?: number; valid?: number; address?: string } = {},
): IaNa[] => {
  const { preferred = 1000, valid = 2000, address = 'fd00::7', ...rest } = fields
  const addresses = [{ address: ip(address), preferred, valid }]
  return [{ iaid: IAID, t1: 500, t2: 800, status: 0, addresses, ...rest }]
}

class Life {
  now = 1000
  readonly client: Dhcpv6Client
  log: string[] = []
  sent: Uint8Array = new Uint8Array(0)
  private last = 1000

  constructor({
    seed = 1,
    name = undefined as string | undefined,
    stateful = true,
    memory = undefined as Dhcpv6Memory | undefined,
  } = {}) {
    this.client = new Dhcpv6Client(
      { mac: MAC, random: random(seed), name, stateful },
      this.now,
      memory,
    )
    if (memory === undefined) this.pass(this.client.next - this.now)
  }

  pass(ms: number): this {
    const end = this.now + ms
    while (this.client.next <= end) {
      this.now = Math.max(this.now, this.client.next)
      this.take(this.client.run(this.now))
    }
    this.now = end
    return this
  }

  get message() {
    return parseDhcpv6(this.sent)!
  }

  answer(type: number, fields: Partial<Dhcpv6Fields> = {}): this {
    const { xid, clientId } = this.message
    const message = { type, xid, clientId, serverId: SERVER, ...fields }
    return this.take(this.client.arrives(emitDhcpv6(message), this.now))
  }

  /** Up to an address in use. */
  bind(fields: Partial<Dhcpv6Fields> = {}): this {
    this.answer(ADVERTISE, { ias: ia(), preference: 255 }).answer(REPLY, { ias: ia(), ...fields })
    this.log = []
    return this
  }

  take(actions: Dhcpv6Action[]): this {
    for (const action of actions) this.log.push(this.line(action))
    return this
  }

  private line(action: Dhcpv6Action): string {
    if (action.do === 'lost') return `lost: ${action.why}`
    if (action.do === 'informed') return `informed ${action.names.dns.map(formatAddress).join(' ')}`
    if (action.do === 'bound')
      return `bound ${action.lease.addresses.map(({ address }) => formatAddress(address)).join(' ')}`
    this.sent = action.bytes
    const after = Math.round((this.now - this.last) / 1000)
    this.last = this.now
    const { type, ias } = this.message
    const addresses = ias.flatMap(({ addresses }) =>
      addresses.map(a => ` ${formatAddress(a.address)}`),
    )
    return `+${after}s ${types[type]}${addresses.join('')}`
  }
}

t.test('INIT to BOUND', async t => {
  const life = new Life({ name: 'www.lab' })
  t.match(life.log, [/^\+[01]s SOLICIT$/])
  const solicit = life.message
  t.same(solicit.clientId, duidOf(MAC))
  t.equal(solicit.serverId, undefined)
  t.ok(solicit.rapidCommit)
  t.equal(solicit.elapsed, 0)
  t.same(solicit.requested, [23, 24, 82, 39])
  t.same(solicit.fqdn, { flags: 1, name: 'www.lab' })
  t.same(solicit.ias, [{ iaid: IAID, t1: 0, t2: 0, status: 0, addresses: [] }])

  life.log = []
  life.answer(ADVERTISE, { ias: ia() })
  t.same(life.log, [], 'the first interval is waited for')
  life.pass(1200)
  t.same(life.log, ['+1s REQUEST fd00::7'])
  const request = life.message
  t.not(request.xid, solicit.xid)
  t.same(request.serverId, SERVER)
  t.notOk(request.rapidCommit)
  t.same(request.fqdn, { flags: 1, name: 'www.lab' })

  life.log = []
  const { now } = life
  life.answer(REPLY, { ias: ia(), dns: [ip('fd00::53')], domains: ['lab'] })
  t.same(life.log, ['bound fd00::7'])
  const lease = life.client.lease!
  t.same(lease.names, { dns: [ip('fd00::53')], search: ['lab'] })
  t.same(
    [lease.renewAt, lease.rebindAt, lease.expiresAt].map(at => (at - now) / 1000),
    [500, 800, 2000],
  )
  t.same(
    [lease.addresses[0].preferredUntil - now, lease.addresses[0].validUntil - now],
    [1000_000, 2000_000],
  )
})

t.test(
  'INIT waits up to a second, the first SOLICIT at least one; then twice as long ± 10 % up to an hour (seeds 1 to 20)',
  async t => {
    for (let seed = 1; seed <= 20; seed++) {
      const client = new Dhcpv6Client({ mac: MAC, random: random(seed), stateful: true }, 0)
      t.ok(client.next >= 0 && client.next < 1000)
      let now = client.next
      client.run(now)
      let rt = client.next - now
      t.ok(rt >= 1000 && rt <= 1100, `${rt}`)
      for (let i = 0; i < 14; i++) {
        now = client.next
        t.equal(client.run(now).length, 1)
        const next = client.next - now
        if (rt * 2.1 < 3600_000) t.ok(next >= 1.9 * rt && next <= 2.1 * rt, `${next}`)
        t.ok(next <= 1.1 * 3600_000)
        rt = next
      }
      t.ok(rt >= 0.9 * 3600_000)
    }
  },
)

t.test('SOLICITING takes the best preference of the first interval', async t => {
  const life = new Life()
  life.answer(ADVERTISE, { ias: ia({ address: 'fd00::8' }), serverId: OTHER, preference: 1 })
  life.answer(ADVERTISE, { ias: ia(), preference: 7 })
  life.answer(ADVERTISE, { ias: ia({ address: 'fd00::9' }), serverId: OTHER, preference: 7 })
  life.pass(1200)
  t.match(life.log[1], 'REQUEST fd00::7')
})

t.test('SOLICITING takes preference 255 at once, and any after the first interval', async t => {
  const life = new Life().answer(ADVERTISE, { ias: ia(), preference: 255 })
  t.match(life.log[1], 'REQUEST')
  const late = new Life().pass(1200)
  late.answer(ADVERTISE, { ias: ia() })
  t.match(late.log[2], 'REQUEST')
})

t.test('SOLICITING takes a Reply with rapid commit', async t => {
  const life = new Life()
  life.answer(REPLY, { ias: ia() })
  t.equal(life.log.length, 1, 'and none without')
  life.answer(REPLY, { ias: ia(), rapidCommit: true })
  t.equal(life.log[1], 'bound fd00::7')
})

for (const [what, type, fields] of [
  ['no server', ADVERTISE, { ias: ia(), serverId: undefined }],
  ['another client’s', ADVERTISE, { ias: ia(), clientId: OTHER }],
  ['no client', ADVERTISE, { ias: ia(), clientId: undefined }],
  ['another xid', ADVERTISE, { ias: ia(), xid: 1 }],
  ['no association', ADVERTISE, {}],
  ['another association', ADVERTISE, { ias: ia({ iaid: 6 }) }],
  ['no address', ADVERTISE, { ias: ia({ addresses: [] }) }],
  ['no address left', ADVERTISE, { ias: ia({ addresses: [], status: NO_ADDRS_AVAIL }) }],
  ['a failure as a whole', ADVERTISE, { ias: ia(), status: NO_ADDRS_AVAIL }],
  ['T1 past T2', ADVERTISE, { ias: ia({ t1: 801 }) }],
  ['an address valid for 0 s', ADVERTISE, { ias: ia({ preferred: 0, valid: 0 }) }],
  ['preferred for longer than valid', ADVERTISE, { ias: ia({ preferred: 2001 }) }],
  ['a group’s address', ADVERTISE, { ias: ia({ address: 'ff02::1' }) }],
  ['a mapped IPv4 address', ADVERTISE, { ias: ia({ address: '::ffff:10.0.0.1' }) }],
  ['a Request', 3, { ias: ia() }],
] as const)
  t.test(`SOLICITING takes no Advertise: ${what}`, async t => {
    const life = new Life().pass(1200)
    life.log = []
    t.same(life.answer(type, { preference: 255, ...fields }).log, [])
    life.answer(ADVERTISE, { ias: ia() })
    t.match(life.log, [/REQUEST/], 'the next one is taken')
  })

t.test('SOL_MAX_RT is learnt, also from who has no address; nonsense is not', async t => {
  const life = new Life()
  life.answer(ADVERTISE, { solMaxRt: 60 }).answer(ADVERTISE, { solMaxRt: 59 })
  life.answer(ADVERTISE, { solMaxRt: 86_401 })
  life.pass(3600_000)
  t.ok(life.log.length > 50, `${life.log.length}`)
})

t.test('REQUESTING: ten times, at most 30 s between; then all anew', async t => {
  const life = new Life().answer(ADVERTISE, { ias: ia(), preference: 255 })
  life.log = []
  life.pass(400_000)
  const requests = life.log.filter(line => line.includes('REQUEST'))
  t.equal(requests.length, 9)
  t.match(requests[8], /^\+(2[7-9]|3[0-3])s/)
  t.match(life.log[9], 'SOLICIT')
})

for (const [what, fields, state] of [
  ['from another server', { ias: ia(), serverId: OTHER }, 'REQUESTING'],
  ['a failure', { ias: ia(), status: UNSPEC_FAIL }, 'REQUESTING'],
  ['no association', {}, 'REQUESTING'],
  ['no address any more', { ias: ia({ addresses: [], status: NO_ADDRS_AVAIL }) }, 'INIT'],
  ['another link', { status: NOT_ON_LINK }, 'INIT'],
] as const)
  t.test(`REQUESTING, a Reply: ${what}`, async t => {
    const life = new Life().answer(ADVERTISE, { ias: ia(), preference: 255 })
    life.log = []
    life.answer(REPLY, fields)
    t.same(life.log, [])
    t.equal(life.client.state, state)
  })

for (const [what, fields, want] of [
  ['as given', {}, [500, 800, 2000]],
  ['by default', { t1: 0, t2: 0 }, [500, 800, 2000]],
  ['T1 by default', { t1: 0 }, [500, 800, 2000]],
  ['T1 by default before a T2 that is early', { t1: 0, t2: 80 }, [50, 80, 2000]],
  [
    'for ever',
    { t1: 0, t2: 0, preferred: FOR_EVER, valid: FOR_EVER },
    [Infinity, Infinity, Infinity],
  ],
  ['never asked again', { t1: FOR_EVER, t2: FOR_EVER }, [Infinity, Infinity, 2000]],
  ['of an address that is deprecated already', { t1: 0, t2: 0, preferred: 0 }, [1000, 1600, 2000]],
  ['no sooner than after a second', { t1: 0, t2: 0, preferred: 1, valid: 1 }, [1, 1, 1]],
] as const)
  t.test(`the lease’s times: ${what}`, async t => {
    const life = new Life().bind({ ias: ia(fields) })
    const { renewAt, rebindAt, expiresAt } = life.client.lease!
    t.same(
      [renewAt, rebindAt, expiresAt].map(at => (at - life.now) / 1000),
      want,
    )
  })

t.test('RENEWING, REBINDING, and the end', async t => {
  const life = new Life().bind()
  const begin = life.now
  life.pass(2100_000)
  t.match(life.log[0], /^\+500s RENEW fd00::7$/)
  t.match(life.log[1], /^\+(9|10|11)s RENEW/)
  const rebind = life.log.findIndex(line => line.includes('REBIND'))
  t.ok(rebind > 4)
  const lost = life.log.indexOf('lost: the lease expired')
  t.ok(lost > rebind + 4)
  t.match(life.log[lost + 1], 'SOLICIT')
  t.equal(begin + 2000_000, life.now - 100_000)
})

t.test('RENEWING says to which server, REBINDING to none; a Reply binds again', async t => {
  const life = new Life().bind()
  life.pass(500_000)
  t.same(life.message.serverId, SERVER)
  t.same(life.message.requested, [23, 24, 82, 39])
  life.log = []
  life.answer(REPLY, { ias: ia() })
  t.same(life.log, ['bound fd00::7'])
  life.pass(800_000)
  t.equal(life.client.state, 'REBINDING')
  t.equal(life.message.serverId, undefined)
  life.log = []
  life.answer(REPLY, { ias: ia({ address: 'fd00::8' }), serverId: OTHER })
  t.same(life.log, ['bound fd00::8'], 'another server’s other address')
  life.pass(500_000)
  t.same(life.message.serverId, OTHER)
})

for (const [what, fields, log] of [
  ['no association', {}, []],
  ['a failure', { ias: ia({ addresses: [], status: UNSPEC_FAIL }) }, []],
  ['no addresses there', { ias: ia({ addresses: [], status: NO_ADDRS_AVAIL }) }, []],
  ['a failure as a whole', { ias: ia(), status: UNSPEC_FAIL }, []],
  ['an empty association', { ias: ia({ addresses: [] }) }, []],
  [
    'the address taken back',
    { ias: ia({ preferred: 0, valid: 0 }) },
    ['lost: the server has no address for us'],
  ],
  [
    'another link',
    { ias: ia({ addresses: [], status: NOT_ON_LINK }) },
    ['lost: this is another link'],
  ],
  ['no binding', { ias: ia({ addresses: [], status: NO_BINDING }) }, ['+0s REQUEST fd00::7']],
] as const)
  t.test(`RENEWING, a Reply: ${what}`, async t => {
    const life = new Life().bind()
    life.pass(500_000)
    life.log = []
    t.same(life.answer(REPLY, fields).log, log)
  })

t.test('a server that has forgotten us and gives the address again: nothing is lost', async t => {
  const life = new Life().bind()
  life.pass(500_000)
  life.answer(REPLY, { ias: ia({ addresses: [], status: NO_BINDING }) })
  life.log = []
  t.same(life.answer(REPLY, { ias: ia() }).log, ['bound fd00::7'])
})

t.test('BOUND takes nothing', async t => {
  const life = new Life().bind()
  life.answer(REPLY, { ias: ia({ preferred: 0, valid: 0 }) }).answer(ADVERTISE, { ias: ia() })
  t.same(life.log, [])
})

t.test(
  'conflict(): declined four times or until the server knows; then all anew after 10 s',
  async t => {
    const life = new Life().bind()
    t.same(life.client.conflict(ip('fd00::9'), life.now), [], 'another address than ours')
    life.take(life.client.conflict(ip('fd00::7'), life.now))
    t.match(life.log, ['lost: another station has the address', /DECLINE fd00::7/])
    t.same(life.message.serverId, SERVER)
    life.pass(5000)
    t.ok(life.log.length > 2 && life.log.length < 6)
    life.log = []
    life.answer(REPLY)
    t.equal(life.client.next, life.now + 10_000)
    t.match(life.pass(10_000).log, [/SOLICIT/])
  },
)

t.test('release(): RELEASING until the server knows, or four times', async t => {
  const life = new Life().bind()
  life.take(life.client.release(life.now))
  t.match(life.log, [/RELEASE fd00::7/, 'lost: released'])
  t.equal(life.client.state, 'RELEASING')
  const other = new Life().bind()
  other.take(other.client.release(other.now))
  life.answer(REPLY)
  t.equal(life.client.state, 'RELEASED')
  other.pass(60_000)
  t.equal(other.client.state, 'RELEASED')
  t.equal(other.log.filter(line => line.includes('RELEASE fd00::7')).length, 4)
  t.equal(other.client.next, Infinity)
  t.same(other.client.linkUp(other.now), [])
})

t.test('release() without addresses', async t => {
  const life = new Life()
  t.same(life.client.release(life.now), [])
  t.equal(life.client.state, 'RELEASED')
  t.same(life.answer(ADVERTISE, { ias: ia(), preference: 255 }).log.length, 1)
})

for (const [what, status, log] of [
  ['success', 0, []],
  ['another link', NOT_ON_LINK, ['lost: this is another link']],
] as const)
  t.test(`CONFIRMING: ${what}`, async t => {
    const life = new Life().bind()
    const { renewAt } = life.client.lease!
    life.take(life.client.linkUp(life.now))
    t.match(life.log, [/CONFIRM fd00::7/])
    t.equal(life.message.serverId, undefined)
    life.log = []
    t.same(life.answer(REPLY, { status }).log, log)
    t.equal(life.client.next, status === 0 ? renewAt : life.now)
  })

t.test('CONFIRMING: after 10 s without an answer the addresses are as good as before', async t => {
  const life = new Life().bind()
  const { renewAt } = life.client.lease!
  life.take(life.client.linkUp(life.now))
  life.pass(10_000)
  t.equal(life.client.state, 'BOUND')
  t.equal(life.client.next, renewAt)
  t.ok(life.log.length >= 3 && life.log.length <= 5)
})

t.test('another client goes on with the lease', async t => {
  const life = new Life().bind({ dns: [ip('fd00::53')] })
  const { memory, lease } = life.client
  const next = new Life({ seed: 2, memory })
  t.same(next.client.lease, lease)
  t.same(next.client.names?.dns, [ip('fd00::53')])
  next.pass(life.now - 1000 + 500_000)
  t.match(next.log[0], 'RENEW fd00::7')
  const late = new Dhcpv6Client({ mac: MAC, random: random(1), stateful: true }, 4000_000, memory)
  t.equal(late.state, 'INIT', 'unless it is over')
})

t.test('stateless: INFORMING until somebody knows, and again after the refresh time', async t => {
  const life = new Life({ stateful: false })
  t.match(life.log, [/INFORMATION-REQUEST$/])
  t.same(life.message.requested, [23, 24, 32, 83])
  t.same(life.message.ias, [])
  life.pass(10_000)
  t.equal(life.log.length, 4)
  life.log = []
  life.answer(ADVERTISE, { dns: [ip('fd00::53')] }).answer(REPLY, { status: UNSPEC_FAIL })
  t.same(life.log, [])
  life.answer(REPLY, { dns: [ip('fd00::53'), ip('::1')] })
  t.same(life.log, ['informed fd00::53'])
  t.equal(life.client.next, life.now + 86_400_000)
  life.pass(86_400_000)
  t.match(life.log[1], 'INFORMATION-REQUEST')
  life.answer(REPLY, { refreshTime: 1 })
  t.equal(life.client.next, life.now + 600_000, 'but not more often than every 600 s')
  life.pass(600_000)
  life.answer(REPLY, { refreshTime: FOR_EVER })
  t.equal(life.client.next, Infinity)
  const { memory } = life.client
  t.equal(new Life({ stateful: false, memory }).client.state, 'INFORMED')
})

t.test('garbage: messages with bytes changed are taken or left, and no more (seed 7)', async t => {
  const next = random(7)
  const good = emitDhcpv6({
    type: REPLY,
    xid: 0,
    clientId: duidOf(MAC),
    serverId: SERVER,
    ias: ia(),
    rapidCommit: true,
    dns: [ip('fd00::53')],
    domains: ['a.b'],
  })
  for (let i = 0; i < 3000; i++) {
    const life = new Life({ seed: i + 1 })
    const bytes = good.slice(0, i % 2 ? good.length : 4 + (next() % (good.length - 4)))
    bytes.set(life.sent.subarray(1, 4), 1)
    for (let k = next() % 4; k >= 0; k--) bytes[next() % bytes.length] = next()
    life.take(life.client.arrives(bytes, life.now))
    life.pass(600_000)
    const { lease } = life.client
    if (lease !== undefined && !lease.addresses.every(a => a.validUntil >= a.preferredUntil))
      t.fail()
    if (!(life.client.next > life.now)) t.fail(`${life.client.state} ${life.client.next}`)
  }
})
