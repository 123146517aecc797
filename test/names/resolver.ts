// The resolver on a network made of arrays, with a clock that jumps.
import { encode, type Answer, type Packet } from 'dns-packet'
import t from 'tap'

import { u16 } from '../../src/base/bytes.ts'
import type { Asker, Carrier, Channel } from '../../src/names/carrier.ts'
import { Hosts, type Host } from '../../src/names/hosts.ts'
import { resolvConf } from '../../src/names/resolv-conf.ts'
import {
  HOST_NOT_FOUND,
  NO_DATA,
  NO_RECOVERY,
  Resolver,
  TRY_AGAIN,
} from '../../src/names/resolver.ts'
import type { Address } from '../../src/wire/address.ts'
import { formatAddress, parseAddress } from '../../src/wire/address-text.ts'

const TYPES: Record<number, 'A' | 'AAAA' | 'PTR' | 'TXT'> = {
  1: 'A',
  12: 'PTR',
  16: 'TXT',
  28: 'AAAA',
}

interface Question {
  readonly name: string
  readonly type: 'A' | 'AAAA' | 'PTR' | 'TXT'
  readonly server: string
  readonly at: number
  readonly tcp: boolean
  readonly edns: boolean
  readonly bytes: Uint8Array
  readonly asker: Asker
  isOpen: boolean
}

/** What a server says: records, an rcode, a whole message, or nothing. */
type Reply = Answer[] | number | Partial<Packet> | Uint8Array | 'silence' | 'unreachable' | 'no way'

class Wire implements Carrier {
  readonly questions: Question[] = []
  now = 0
  readonly resolver: Resolver
  private readonly reply: (question: Question) => Reply
  private random = 0

  constructor(
    reply: (question: Question) => Reply,
    { servers = ['10.0.0.53'], search = [] as string[], options = [] as string[], hosts = '' } = {},
  ) {
    this.reply = reply
    const conf = resolvConf(servers, search, options)
    this.resolver = new Resolver(this, () => (this.random = (this.random + 7919) | 0), conf)
    this.resolver.configure(conf, new Hosts(hosts))
  }

  datagram(server: Address, query: Uint8Array, asker: Asker, now: number): Channel | undefined {
    return this.ask(server, query, asker, now, false)
  }

  connection(server: Address, query: Uint8Array, asker: Asker, now: number): Channel | undefined {
    return this.ask(server, query, asker, now, true)
  }

  private ask(server: Address, bytes: Uint8Array, asker: Asker, at: number, tcp: boolean) {
    const labels = []
    let i = 12
    for (; bytes[i] !== 0; i += 1 + bytes[i])
      labels.push(Buffer.from(bytes.subarray(i + 1, i + 1 + bytes[i])).toString('latin1'))
    const question: Question = {
      name: labels.join('.'),
      type: TYPES[u16(bytes, i + 1)],
      server: formatAddress(server),
      at,
      tcp,
      edns: u16(bytes, 10) === 1,
      bytes: bytes.slice(),
      asker,
      isOpen: true,
    }
    this.questions.push(question)
    if (this.reply(question) === 'no way') return undefined
    return { close: () => void (question.isOpen = false) }
  }

  /** What is answered, and what time brings, until nothing is left or `until`. */
  run(until = Infinity): void {
    let answered = 0
    for (;;) {
      while (answered < this.questions.length) this.answer(this.questions[answered++])
      const next = this.resolver.run(this.now)
      if (answered < this.questions.length) continue
      if (next > until) break
      if (next === Infinity) break
      this.now = Math.max(this.now, next)
    }
  }

  private answer(question: Question): void {
    const reply = this.reply(question)
    if (reply === 'silence' || reply === 'no way' || !question.isOpen) return
    if (reply === 'unreachable') return question.asker.unreachable(this.now)
    question.asker.heard(reply instanceof Uint8Array ? reply : message(question, reply), this.now)
  }

  lookup(name: string, family: 0 | 4 | 6 = 4, until = Infinity): string {
    let told = 'nothing yet'
    this.resolver.lookup(name, family, this.now, answer => (told = words(answer)))
    this.run(until)
    return told
  }

  get asked(): string[] {
    return this.questions.map(({ name, type }) => `${name} ${type}`)
  }
}

function message(question: Question, reply: Exclude<Reply, string | Uint8Array>): Uint8Array {
  const { bytes, name, type } = question
  const fields = Array.isArray(reply) ? { answers: reply } : typeof reply === 'number' ? {} : reply
  const code = typeof reply === 'number' ? reply : 0
  const packet = encode({
    type: 'response',
    id: u16(bytes, 0),
    questions: [{ name, type }],
    ...fields,
    flags: (fields.flags ?? 0x180) | code,
  })
  return new Uint8Array(packet)
}

const words = (answer: Host | number): string => {
  if (typeof answer === 'number')
    return ['', 'HOST_NOT_FOUND', 'TRY_AGAIN', 'NO_RECOVERY', 'NO_DATA'][answer]
  const { canonical, aliases, addresses } = answer
  return [canonical, ...aliases.map(alias => `(${alias})`), ...addresses.map(formatAddress)].join(
    ' ',
  )
}

const a = (name: string, data: string, ttl = 60): Answer => ({ type: 'A', name, data, ttl })
const aaaa = (name: string, data: string, ttl = 60): Answer => ({ type: 'AAAA', name, data, ttl })
const cname = (name: string, data: string): Answer => ({ type: 'CNAME', name, data, ttl: 60 })
const soa = (ttl: number, minimum: number): Answer => ({
  type: 'SOA',
  name: 'lab',
  ttl,
  data: { mname: 'ns.lab', rname: 'x.lab', serial: 1, refresh: 1, retry: 1, expire: 1, minimum },
})
const NXDOMAIN = 3
const SERVFAIL = 2
const FORMERR = 1
const REFUSED = 5

// ---- which names are asked for

for (const [name, options, search, asked] of [
  ['web', [], [], 'web'],
  ['web', [], ['a.lab', 'b.lab'], 'web.a.lab web.b.lab web'],
  ['web.x', [], ['a.lab'], 'web.x web.x.a.lab'],
  ['web.', [], ['a.lab'], 'web'],
  ['web.x', ['ndots:2'], ['a.lab'], 'web.x.a.lab web.x'],
  ['web', ['ndots:0'], ['a.lab'], 'web web.a.lab'],
  ['no_such host', [], ['a.lab'], ''],
  ['a..b', [], [], ''],
  [`${'x'.repeat(64)}.lab`, [], [], ''],
] as [string, string[], string[], string][])
  t.test(`lookup() of "${name}", ${options.join()} search ${search.join(' ')}`, async t => {
    const wire = new Wire(() => NXDOMAIN, { options, search })
    t.equal(wire.lookup(name), 'HOST_NOT_FOUND')
    t.equal(wire.questions.map(question => question.name).join(' '), asked)
  })

// ---- what becomes of several failures

for (const [title, name, replies, want] of [
  ['no name, then no data', 'web', { 'web.a.lab': NXDOMAIN, web: [] }, 'NO_DATA'],
  ['no data, then no name', 'web', { 'web.a.lab': [], web: NXDOMAIN }, 'NO_DATA'],
  [
    'the name as it is came first',
    'web.x',
    { 'web.x': NXDOMAIN, 'web.x.a.lab': [] },
    'HOST_NOT_FOUND',
  ],
  [
    'SERVFAIL goes on',
    'web',
    { 'web.a.lab': SERVFAIL, web: [a('web', '10.0.0.1')] },
    'web 10.0.0.1',
  ],
  ['SERVFAIL alone', 'web', { 'web.a.lab': SERVFAIL, web: NXDOMAIN }, 'TRY_AGAIN'],
  ['silence, then no name', 'web', { 'web.a.lab': 'silence', web: NXDOMAIN }, 'TRY_AGAIN'],
] as [string, string, Record<string, Reply>, string][])
  t.test(`lookup() along the search list: ${title}`, async t => {
    const wire = new Wire(({ name }) => replies[name], { search: ['a.lab'] })
    t.equal(wire.lookup(name), want)
  })

t.test('lookup() after silence asks for no other domain, but for the name as it is', async t => {
  const wire = new Wire(({ name }) => (name === 'web' ? [a('web', '10.0.0.1')] : 'silence'), {
    search: ['a.lab', 'b.lab'],
    options: ['attempts:1'],
  })
  t.equal(wire.lookup('web'), 'web 10.0.0.1')
  t.equal(wire.asked.join(', '), 'web.a.lab A, web A')
})

// ---- what is read of an answer

for (const [title, family, records, want] of [
  ['an address', 4, [a('web.lab', '10.0.0.1')], 'web.lab 10.0.0.1'],
  ['in other letters', 4, [a('WEB.Lab', '10.0.0.1')], 'web.lab 10.0.0.1'],
  ['another name’s', 4, [a('evil.lab', '10.6.6.6')], 'NO_DATA'],
  [
    'a chain, in any order',
    4,
    [a('c.lab', '10.0.0.1'), cname('b.lab', 'c.lab'), cname('web.lab', 'b.lab')],
    'c.lab (web.lab) (b.lab) 10.0.0.1',
  ],
  ['a chain in a circle', 4, [cname('web.lab', 'b.lab'), cname('b.lab', 'web.lab')], 'NO_DATA'],
  [
    'a chain to no host name',
    4,
    [cname('web.lab', 'b b.lab'), a('b b.lab', '10.0.0.1')],
    'NO_DATA',
  ],
  [
    'an endless chain',
    4,
    Array.from({ length: 40 }, (_, i) => cname(i === 0 ? 'web.lab' : `c${i}.lab`, `c${i + 1}.lab`)),
    'NO_DATA',
  ],
  ['IPv6', 6, [aaaa('web.lab', 'fd00::1')], 'web.lab fd00::1'],
  ['an IPv4-mapped address', 6, [aaaa('web.lab', '::ffff:10.0.0.1')], 'NO_DATA'],
] as [string, 4 | 6, Answer[], string][])
  t.test(`lookup(), the answer holds ${title}`, async t => {
    t.equal(new Wire(() => records).lookup('web.lab', family), want)
  })

t.test('lookup() of both families gives what one of them has', async t => {
  const both = new Wire(({ type }) => (type === 'A' ? SERVFAIL : [aaaa('web.lab', 'fd00::1')]))
  t.equal(both.lookup('web.lab', 0), 'web.lab fd00::1')
  const one = new Wire(({ type }) =>
    type === 'A' ? [a('web.lab', '10.0.0.1')] : [aaaa('web.lab', 'fd00::1')],
  )
  t.equal(one.lookup('web.lab', 0), 'web.lab 10.0.0.1 fd00::1')
  t.equal(one.questions[0].at, one.questions[1].at)
})

t.test('single-request asks for AAAA when A is answered, no-aaaa never', async t => {
  const wire = new Wire(({ name }) => [a(name, '10.0.0.1')], { options: ['single-request'] })
  wire.resolver.lookup('web.lab', 0, 0, () => undefined)
  t.same(wire.asked, ['web.lab A'])
  wire.run()
  t.same(wire.asked, ['web.lab A', 'web.lab AAAA'])
  const without = new Wire(({ name }) => [a(name, '10.0.0.1')], { options: ['no-aaaa'] })
  t.equal(without.lookup('web.lab', 0), 'web.lab 10.0.0.1')
  t.same(without.asked, ['web.lab A'])
  t.equal(without.lookup('web.lab', 6), 'NO_DATA')
})

// ---- whom to ask, and when

for (const [title, options, want] of [
  ['as glibc', [], '0 .1, 5000 .2, 10000 .1, 15000 .2'],
  [
    'timeout:1 attempts:3',
    ['timeout:1', 'attempts:3'],
    '0 .1, 1000 .2, 2000 .1, 3000 .2, 4000 .1, 6000 .2',
  ],
  ['attempts:1', ['attempts:1'], '0 .1, 5000 .2'],
] as [string, string[], string][])
  t.test(`two silent servers, ${title}`, async t => {
    const wire = new Wire(() => 'silence', { servers: ['10.0.0.1', '10.0.0.2'], options })
    t.equal(wire.lookup('web.lab'), 'TRY_AGAIN')
    t.equal(wire.questions.map(q => `${q.at} ${q.server.slice(6)}`).join(', '), want)
    t.equal(new Set(wire.questions.map(q => u16(q.bytes, 0))).size, wire.questions.length, 'ids')
  })

for (const reply of [SERVFAIL, REFUSED, 4, 'unreachable', 'no way'] as Reply[])
  t.test(`the first server says ${String(reply)}: the second is asked at once`, async t => {
    const wire = new Wire(
      ({ server }) => (server === '10.0.0.1' ? reply : [a('web.lab', '10.0.0.9')]),
      {
        servers: ['10.0.0.1', '10.0.0.2'],
      },
    )
    t.equal(wire.lookup('web.lab'), 'web.lab 10.0.0.9')
    t.equal(wire.now, 0)
  })

t.test(
  'without a server the node itself is asked, and nobody there is an answer at once',
  async t => {
    const wire = new Wire(() => 'unreachable', { servers: [] })
    t.equal(wire.lookup('web.lab'), 'TRY_AGAIN')
    t.equal(wire.questions[0].server, '127.0.0.1')
    t.equal(wire.now, 0)
  },
)

t.test('rotate: each question begins with another server', async t => {
  const servers = ['10.0.0.1', '10.0.0.2']
  const wire = new Wire(() => [], { servers, options: ['rotate'] })
  for (const name of ['a.x', 'b.x', 'c.x']) wire.lookup(name)
  t.same(
    wire.questions.map(question => question.server),
    ['10.0.0.1', '10.0.0.2', '10.0.0.1'],
  )
})

t.test('a truncated answer is asked for over TCP', async t => {
  const wire = new Wire(({ tcp }) => (tcp ? [a('web.lab', '10.0.0.9')] : { flags: 0x380 }))
  t.equal(wire.lookup('web.lab'), 'web.lab 10.0.0.9')
  t.same(
    wire.questions.map(question => question.tcp),
    [false, true],
  )
  const always = new Wire(() => [a('web.lab', '10.0.0.9')], { options: ['use-vc'] })
  always.lookup('web.lab')
  t.ok(always.questions[0].tcp, 'use-vc')
})

t.test('edns0 is left out for a server that cannot read it', async t => {
  const wire = new Wire(({ edns }) => (edns ? FORMERR : [a('web.lab', '10.0.0.9')]), {
    options: ['edns0'],
  })
  t.equal(wire.lookup('web.lab'), 'web.lab 10.0.0.9')
  t.same(
    wire.questions.map(question => question.edns),
    [true, false],
  )
})

// ---- what is no answer

const changed = (at: number, to: (byte: number) => number) => (question: Question) => {
  const bytes = message(question, [a('web.lab', '10.6.6.6')])
  bytes[at] = to(bytes[at])
  return bytes
}
for (const [title, reply] of [
  ['another id', changed(1, byte => byte ^ 1)],
  ['a query', changed(2, byte => byte & 0x7f)],
  ['another opcode', changed(2, byte => byte | 0x10)],
  ['two questions', changed(5, () => 2)],
  ['no question', changed(5, () => 0)],
  ['another name', changed(13, () => 0x78)],
  ['another type', changed(12 + 9 + 1, () => 16)],
  ['no header', () => new Uint8Array(11)],
  ['nothing', () => new Uint8Array(0)],
] as [string, (question: Question) => Uint8Array][])
  t.test(`${title}: not heard, and the answer behind it is`, async t => {
    const wire = new Wire(question => reply(question), { options: ['attempts:1'] })
    t.equal(wire.lookup('web.lab', 4, 1000), 'nothing yet')
    t.equal(wire.resolver.counters.strangers, 1)
    t.ok(wire.questions[0].isOpen)
    t.equal(wire.lookup('web.lab', 4), 'TRY_AGAIN')
  })

t.test('an answer cut short at any length is no answer, and throws nothing', async t => {
  const records = [cname('web.lab', 'b.lab'), a('b.lab', '10.0.0.1'), a('b.lab', '10.0.0.2')]
  const probe = new Wire(() => records)
  probe.lookup('web.lab')
  const whole = message(probe.questions[0], records)
  for (let length = 0; length < whole.length; length++) {
    const wire = new Wire(question => message(question, records).slice(0, length))
    t.equal(wire.lookup('web.lab'), 'TRY_AGAIN', `${length} bytes`)
  }
})

t.test('random bytes behind a right question throw nothing', async () => {
  let seed = 12345
  const byte = () => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) >>> 24
  for (let i = 0; i < 3000; i++) {
    const wire = new Wire(question => {
      const bytes = message(question, [a('web.lab', '10.0.0.1'), cname('x.lab', 'y.lab')])
      for (let k = 0; k < 4; k++) bytes[25 + (byte() % (bytes.length - 25))] = byte()
      return bytes
    })
    wire.lookup('web.lab')
  }
})

// ---- what is remembered

t.test('the cache keeps what it is told for as long as it is told', async t => {
  const wire = new Wire(() => [a('web.lab', '10.0.0.1', 60)])
  for (const [now, questions] of [
    [0, 1],
    [59_999, 1],
    [60_000, 2],
  ]) {
    wire.now = now
    t.equal(wire.lookup('WEB.lab'), 'WEB.lab 10.0.0.1')
    t.equal(wire.questions.length, questions, `at ${now}`)
  }
})

for (const [title, reply, times] of [
  [
    'no name, with a SOA',
    { flags: 0x180 | NXDOMAIN, authorities: [soa(30, 10)] },
    [0, 9999, 10_000],
  ],
  ['no data, with a SOA', { authorities: [soa(10, 30)] }, [0, 9999, 10_000]],
] as [string, Partial<Packet>, number[]][])
  t.test(`the cache keeps ${title} (RFC 2308)`, async t => {
    const wire = new Wire(() => reply)
    const asked = times.map(now => {
      wire.now = now
      wire.lookup('web.lab')
      return wire.questions.length
    })
    t.same(asked, [1, 1, 2])
  })

for (const [title, reply] of [
  ['no name, without a SOA', NXDOMAIN],
  ['a time to live of 0', [a('web.lab', '10.0.0.1', 0)]],
  ['SERVFAIL', SERVFAIL],
] as [string, Reply][])
  t.test(`the cache does not keep ${title}`, async t => {
    const wire = new Wire(() => reply, { options: ['attempts:1'] })
    wire.lookup('web.lab')
    wire.lookup('web.lab')
    t.equal(wire.questions.length, 2)
  })

t.test('other servers may know another truth', async t => {
  const wire = new Wire(({ server }) => [a('web.lab', server)])
  t.equal(wire.lookup('web.lab'), 'web.lab 10.0.0.53')
  wire.resolver.configure(resolvConf(['10.0.0.54'], [], []), new Hosts(''))
  t.equal(wire.lookup('web.lab'), 'web.lab 10.0.0.54')
})

t.test('who asks what is being asked shares the answer', async t => {
  const wire = new Wire(() => [a('web.lab', '10.0.0.1')])
  const told: string[] = []
  for (let i = 0; i < 3; i++)
    wire.resolver.lookup('web.lab', 4, 0, answer => told.push(words(answer)))
  wire.run()
  t.same(told, Array(3).fill('web.lab 10.0.0.1'))
  t.equal(wire.questions.length, 1)
})

t.test('too many questions at once are turned away', async t => {
  const wire = new Wire(() => 'silence')
  const told: string[] = []
  for (let i = 0; i < 600; i++)
    wire.resolver.lookup(`a${i}.lab`, 4, 0, answer => told.push(words(answer)))
  t.same(told, Array(600 - 512).fill('TRY_AGAIN'))
  t.equal(wire.resolver.counters.refused, 600 - 512)
})

// ---- hosts and addresses

const HOSTS = '127.0.0.1 localhost\n10.0.0.1 web.lab web # comment\nfd00::1 web.lab\nbad line\n'

for (const [name, family, want] of [
  ['web', 0, 'web.lab (web) 10.0.0.1'],
  ['WEB.LAB', 0, 'web.lab (web) 10.0.0.1 fd00::1'],
  ['web.lab', 6, 'web.lab fd00::1'],
  ['x.localhost', 0, 'x.localhost ::1 127.0.0.1'],
  ['localhost.', 4, 'localhost 127.0.0.1'],
] as [string, 0 | 4 | 6, string][])
  t.test(`lookup() of "${name}" for ${family} needs no server`, async t => {
    const wire = new Wire(() => NXDOMAIN, { hosts: HOSTS })
    t.equal(wire.lookup(name, family), want)
    t.same(wire.questions, [])
  })

t.test('reverse() knows the hosts file, else asks for PTR', async t => {
  const ptr = (name: string, data: string): Answer => ({ type: 'PTR', name, data, ttl: 60 })
  const wire = new Wire(({ name }) => [ptr(name, 'nine.lab'), ptr(name, 'not a name')], {
    hosts: HOSTS,
  })
  const reverse = (address: string) => {
    let told = ''
    wire.resolver.reverse(parseAddress(address)!, 0, answer => (told = words(answer)))
    wire.run()
    return told
  }
  t.equal(reverse('10.0.0.1'), 'web.lab (web) 10.0.0.1')
  t.equal(reverse('10.1.2.3'), 'nine.lab 10.1.2.3')
  t.equal(reverse('fd00::9'), 'nine.lab fd00::9')
  t.same(wire.asked, ['3.2.1.10.in-addr.arpa PTR', `9.${'0.'.repeat(29)}d.f.ip6.arpa PTR`])
})

// ---- any question

t.test('query() and send() give the message, with the asker’s id and without AD', async t => {
  const wire = new Wire(({ name }) => ({
    flags: 0x1a0,
    answers: [{ type: 'TXT', name, data: 'hello', ttl: 1 }],
  }))
  const told: [number | undefined, number, number][] = []
  const keep = (message: Uint8Array | undefined, hErrno: number) =>
    told.push([message && u16(message, 0), message ? message[3] & 0x20 : -1, hErrno])
  wire.resolver.query('text.lab', 1, 16, false, 0, keep)
  wire.run()
  const query = wire.questions[0].bytes.slice()
  query[0] = 0xab
  query[1] = 0xcd
  wire.resolver.send(query, 0, keep)
  wire.run()
  t.same(told, [
    [0, 0, 0],
    [0xabcd, 0, 0],
  ])
  t.not(u16(wire.questions[1].bytes, 0), 0xabcd, 'on the wire it has another')
})

for (const [title, reply, want] of [
  ['no such name', NXDOMAIN, HOST_NOT_FOUND],
  ['no such data', [], NO_DATA],
  ['SERVFAIL', SERVFAIL, TRY_AGAIN],
  ['REFUSED', REFUSED, NO_RECOVERY],
  ['silence', 'silence', TRY_AGAIN],
] as [string, Reply, number][])
  t.test(`query(), ${title}`, async t => {
    const wire = new Wire(() => reply, { options: ['attempts:1'] })
    let told = -1
    wire.resolver.query('text.lab', 1, 16, false, 0, (_, hErrno) => (told = hErrno))
    wire.run()
    t.equal(told, want)
  })

for (const [title, bytes] of [
  ['nothing', new Uint8Array(0)],
  ['an answer', Uint8Array.of(0, 0, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1)],
  ['no question', new Uint8Array(17)],
  ['a name without end', Uint8Array.of(0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 63, 1, 1, 1, 1)],
] as [string, Uint8Array][])
  t.test(`send() of ${title} is refused`, async t => {
    const wire = new Wire(() => NXDOMAIN)
    let told = -1
    wire.resolver.send(bytes, 0, (_, hErrno) => (told = hErrno))
    t.equal(told, NO_RECOVERY)
    t.same(wire.questions, [])
  })
