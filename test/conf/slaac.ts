import t from 'tap'
import { Slaac } from '../../src/conf/slaac.ts'
import { Address } from '../../src/wire/address.ts'
import { formatAddress, parsePrefix } from '../../src/wire/address-text.ts'
import { ND_INFINITE, type PrefixInformation } from '../../src/wire/ndp.ts'

const HOUR = 3600
const prefix = (
  text: string,
  valid: number,
  preferred = valid,
  autonomous = true,
): PrefixInformation => ({
  prefix: parsePrefix(text)!,
  onLink: true,
  autonomous,
  validLifetime: valid,
  preferredLifetime: preferred,
})
/** Identifiers that count attempts, or one that does not. */
const counting = (prefix: Address, attempt: number) =>
  new Address(prefix.a, prefix.b, 0, 5 + attempt)
const fixed = (prefix: Address) => new Address(prefix.a, prefix.b, 0, 5)

const NOW = 1000
const lifetimes = (slaac: Slaac, info: PrefixInformation, now = NOW) => {
  const made = slaac.advertised(info, now)
  return made && [made.preferredUntil - now, made.validUntil - now].map(ms => ms / 1000)
}

t.test('a new prefix makes an address', async t => {
  const made = new Slaac(fixed).advertised(prefix('fd00:1::/64', 100, 50), NOW)!
  t.equal(formatAddress(made.address), 'fd00:1::5')
  t.same([made.preferredUntil, made.validUntil], [NOW + 50_000, NOW + 100_000])
})

for (const [what, info] of [
  ['without the autonomous flag', prefix('fd00:1::/64', 100, 50, false)],
  ['preferred for longer than valid', prefix('fd00:1::/64', 100, 101)],
  ['valid for 0 s', prefix('fd00:1::/64', 0)],
  ['of 63 bits', prefix('fd00:2::/63', 100)],
  ['of 65 bits', prefix('fd00:1::/65', 100)],
  ['link-local', prefix('fe80::/64', 100)],
  ['of a group', prefix('ff02::/64', 100)],
  ['of zeros', prefix('::/64', 100)],
] as const)
  t.equal(new Slaac(fixed).advertised(info, NOW), undefined, `a prefix ${what} makes none`)

t.same(lifetimes(new Slaac(fixed), prefix('fd00:1::/64', ND_INFINITE)), [Infinity, Infinity])
t.same(lifetimes(new Slaac(fixed), prefix('fd00:1::/64', ND_INFINITE, 7)), [7, Infinity])
t.same(
  lifetimes(new Slaac(fixed), prefix('fd00:1::/64', 7, 0)),
  [0, 7],
  'deprecated from the first',
)

// Section 5.5.3 e: what there was, what is announced, what becomes of it.
for (const [what, before, announced, want] of [
  ['longer than two hours, shorter than before', 10 * HOUR, 3 * HOUR, 3 * HOUR],
  ['longer than what is left', HOUR, 1.5 * HOUR, 1.5 * HOUR],
  ['shorter than two hours, and less than two were left', HOUR, HOUR / 2, HOUR],
  ['0, and less than two hours were left', HOUR, 0, HOUR],
  ['shorter than two hours, and more were left', 10 * HOUR, HOUR, 2 * HOUR],
  ['0, and more than two hours were left', 10 * HOUR, 0, 2 * HOUR],
  ['0, and it was for ever', ND_INFINITE, 0, 2 * HOUR],
  ['for ever', HOUR, ND_INFINITE, Infinity],
] as const)
  t.test(`a prefix announced again, valid ${what}`, async t => {
    const slaac = new Slaac(fixed)
    slaac.advertised(prefix('fd00:1::/64', before), NOW)
    const preferred = Math.min(announced, 60)
    t.same(lifetimes(slaac, prefix('fd00:1::/64', announced, preferred)), [preferred, want])
  })

t.test('an address that has ended begins anew', async t => {
  const slaac = new Slaac(fixed)
  slaac.advertised(prefix('fd00:1::/64', 10), NOW)
  t.equal(slaac.advertised(prefix('fd00:1::/64', 0), NOW + 10_000), undefined)
  t.same(lifetimes(slaac, prefix('fd00:1::/64', 5), NOW + 10_000), [5, 5])
})

t.test('of 17 prefixes the last makes no address, until another ends', async t => {
  const slaac = new Slaac(fixed)
  for (let i = 0; i < 16; i++)
    t.ok(slaac.advertised(prefix(`fd00:${i}::/64`, i === 0 ? 1 : 100), NOW))
  t.equal(slaac.advertised(prefix('fd00:99::/64', 100), NOW), undefined)
  t.ok(slaac.advertised(prefix('fd00:1::/64', 100), NOW), 'a known one goes on')
  t.ok(slaac.advertised(prefix('fd00:99::/64', 100), NOW + 1000))
})

t.test('duplicated(): the next identifier, three times', async t => {
  const slaac = new Slaac(counting)
  let made = slaac.advertised(prefix('fd00:1::/64', 100, 50), NOW)!
  for (const want of ['fd00:1::6', 'fd00:1::7', 'fd00:1::8']) {
    const next = slaac.duplicated(made.address, NOW)!
    t.equal(formatAddress(next.address), want)
    t.same([next.preferredUntil, next.validUntil], [NOW + 50_000, NOW + 100_000])
    made = next
  }
  t.equal(slaac.duplicated(made.address, NOW), undefined)
  t.equal(formatAddress(slaac.advertised(prefix('fd00:1::/64', 100), NOW)!.address), 'fd00:1::8')
})

t.test('duplicated(): an identifier that cannot change, and an address of nobody’s', async t => {
  const slaac = new Slaac(fixed)
  const made = slaac.advertised(prefix('fd00:1::/64', 100), NOW)!
  t.equal(slaac.duplicated(made.address, NOW), undefined)
  t.equal(slaac.duplicated(parsePrefix('fd00:2::5')!.address, NOW), undefined)
})
