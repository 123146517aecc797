import t from 'tap'
import { formatAddress, parseAddress } from '../../src/wire/address-text.ts'
import {
  ADVERTISE,
  ALL_DHCP_AGENTS,
  duidOf,
  emitDhcpv6,
  NO_ADDRS_AVAIL,
  parseDhcpv6,
  REPLY,
  sameDuid,
  SOLICIT,
} from '../../src/wire/dhcpv6.ts'
import { parseMac } from '../../src/wire/mac.ts'

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const ip = (text: string) => parseAddress(text)!
const DUID = '0001 000a 0003 0001 020000000005'
/** An IA_NA's head: iaid 5, T1 100, T2 160. */
const IA = '00000005 00000064 000000a0'
const ADDRESS = 'fd000000000000000000000000000007 00000064 000000c8'

t.test('emitDhcpv6() and parseDhcpv6() are each other’s inverse', async t => {
  const fields = {
    type: REPLY,
    xid: 0xabcdef,
    clientId: duidOf(parseMac('02:00:00:00:00:05')!),
    serverId: hex('0001000122334455020000000001'),
    ias: [
      {
        iaid: 5,
        t1: 100,
        t2: 160,
        status: 0,
        addresses: [{ address: ip('fd00::7'), preferred: 7, valid: 9 }],
      },
      { iaid: 6, t1: 0, t2: 0, status: NO_ADDRS_AVAIL, addresses: [] },
    ],
    preference: 255,
    status: 1,
    rapidCommit: true,
    dns: [ip('fd00::53'), ip('fd00::54')],
    domains: ['a.bc', 'lab'],
    refreshTime: 600,
    solMaxRt: 60,
    infMaxRt: 61,
    requested: [23, 24],
    elapsed: 99,
    fqdn: { flags: 1, name: 'www.lab' },
  }
  t.same(parseDhcpv6(emitDhcpv6(fields)), fields)
  const partial = { ...fields, fqdn: { flags: 1, name: 'www' } }
  t.same(parseDhcpv6(emitDhcpv6(partial)), partial)
})

t.test('emitDhcpv6() of a Solicit, byte by byte', async t => {
  const bytes = emitDhcpv6({
    type: SOLICIT,
    xid: 0x123456,
    clientId: duidOf(parseMac('02:00:00:00:00:05')!),
    ias: [{ iaid: 5, t1: 0, t2: 0, status: 0, addresses: [] }],
    elapsed: 0,
    requested: [23],
    rapidCommit: true,
    fqdn: { flags: 1, name: 'w' },
  })
  t.same(
    bytes,
    hex(
      `01123456 ${DUID} 0003 000c 00000005 00000000 00000000
      0008 0002 0000  0006 0002 0017  000e 0000  0027 0003 01 0177`.replace(/\s/g, ''),
    ),
  )
})

const parsed = (options: string) => parseDhcpv6(hex(`02abcdef ${options}`))

for (const [what, options, want] of [
  ['nothing', '', { type: ADVERTISE, xid: 0xabcdef, ias: [], serverId: undefined }],
  ['an unknown option', 'ffff 0001 00', { ias: [] }],
  ['an unknown option without an end', 'ffff 0002 00', undefined],
  ['half an option', '0017 00', undefined],
  ['a DUID without an identifier', '0002 0002 0003', { serverId: undefined }],
  ['a DUID of 131 bytes', `0002 0083 ${'00'.repeat(131)}`, { serverId: undefined }],
  ['two server DUIDs: the first', '0002 0003 000301 0002 0003 000302', { serverId: hex('000301') }],
  ['an IA cut short', '0003 000b 00000005000000640000a0', undefined],
  [
    'an IA with an address',
    `0003 0028 ${IA} 0005 0018 ${ADDRESS}`,
    { ias: [{ iaid: 5, t1: 100, t2: 160, status: 0 }] },
  ],
  [
    'an IA whose address is cut short',
    `0003 0027 ${IA} 0005 0017 ${ADDRESS.slice(0, -2)}`,
    undefined,
  ],
  ['an IA whose option leads out of it', `0003 0028 ${IA} 0005 0019 ${ADDRESS}`, undefined],
  ['an IA’s status', `0003 0012 ${IA} 000d 0002 0002`, { ias: [{ status: 2, addresses: [] }] }],
  ['DNS servers of 17 bytes', `0017 0011 ${'fd'.repeat(17)}`, { dns: [] }],
  ['domains that lie', '0018 0002 0561', { domains: [] }],
  ['a status of one byte', '000d 0001 05', { status: 0 }],
  ['a preference of two bytes', '0007 0002 0505', { preference: 0 }],
] as const)
  t.test(`parseDhcpv6(), ${what}`, async t => {
    const message = parsed(options)
    if (want === undefined) t.equal(message, undefined)
    else t.match(message, want)
  })

for (const [what, address, count] of [
  ['an address', ADDRESS, 1],
  ['preferred for longer than valid', ADDRESS.replace('00000064', '000000c9'), 0],
  ['an address with a status that is no success', `${ADDRESS} 000d 0002 0004`, 0],
  ['an address with the status success', `${ADDRESS} 000d 0002 0000`, 1],
] as const)
  t.test(`parseDhcpv6(), ${what}`, async t => {
    const length = (n: string) => (n.replaceAll(' ', '').length / 2).toString(16).padStart(4, '0')
    const inner = `0005 ${length(address)} ${address}`
    const body = `${IA} ${inner}`
    t.equal(parsed(`0003 ${length(body)} ${body}`)!.ias[0].addresses.length, count)
  })

t.test('parseDhcpv6() takes at most 16 of a list', async t => {
  const one = `0005 0018 ${ADDRESS}`.replaceAll(' ', '')
  const many = `0003 ${(12 + 28 * 40).toString(16).padStart(4, '0')} ${IA} ${one.repeat(40)}`
  t.equal(parsed(many)!.ias[0].addresses.length, 16)
  t.equal(parsed(`0003 000c ${IA}`.repeat(40))!.ias.length, 16)
  const servers = parsed(`0017 0280 ${'fd000000000000000000000000000053'.repeat(40)}`)!.dns
  t.equal(servers.length, 16)
  const again = parsed(`0017 0010 ${'fd000000000000000000000000000053'}`.repeat(40))!
  t.equal(again.dns.length, 16)
  t.equal(parsed('0018 0003 016100'.repeat(40))!.domains.length, 16)
  t.equal(formatAddress(servers[0]), 'fd00::53')
})

t.test('parseDhcpv6() of every cut of a message', async t => {
  const whole = hex(`02abcdef ${DUID} 0003 0028 ${IA} 0005 0018 ${ADDRESS}`)
  const good = [4, 18, whole.length]
  for (let n = 0; n <= whole.length; n++)
    t.equal(parseDhcpv6(whole.slice(0, n)) !== undefined, good.includes(n), `${n} bytes`)
})

t.equal(formatAddress(ALL_DHCP_AGENTS), 'ff02::1:2')
t.ok(sameDuid(hex('000301'), hex('000301')))
t.notOk(sameDuid(hex('000301'), hex('00030101')))
t.notOk(sameDuid(hex('000301'), hex('000302')))
t.notOk(sameDuid(undefined, undefined))
