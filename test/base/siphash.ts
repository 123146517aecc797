import t from 'tap'
import { SipHash, halfSipHash4 } from '../../src/base/siphash.ts'

const key = Uint8Array.from({ length: 16 }, (_, i) => i)
const message = Uint8Array.from({ length: 64 }, (_, i) => i)

// The first outputs of the paper's reference (key 00 01 … 0f, messages 00 01 …).
for (const [length, high, low] of [
  [0, 0x726fdb47, 0xdd0e0e31],
  [8, 0x93f5f579, 0x9a932462],
  [15, 0xa129ca61, 0x49be45e5],
] as const)
  t.test(`SipHash, the reference's output for ${length} bytes`, async t => {
    const sip = new SipHash(key)
    sip.hash(message, 0, length)
    t.equal(sip.high >>> 0, high)
    t.equal(sip.low >>> 0, low)
  })

t.test('SipHash agrees with 64-bit arithmetic for every length to 40, at an offset', async t => {
  const sip = new SipHash(key)
  for (let n = 0; n <= 40; n++) {
    sip.hash(message, 3, n)
    const got = (BigInt(sip.high >>> 0) << 32n) | BigInt(sip.low >>> 0)
    t.equal(got, slow(key, message.subarray(3, 3 + n)), `${n} bytes`)
  }
})

t.test('halfSipHash4() depends on every word and on both halves of the key', async t => {
  const seen = new Set<number>()
  seen.add(halfSipHash4(1, 2, 3, 4, 5, 6))
  for (let i = 0; i < 6; i++)
    for (let bit = 0; bit < 32; bit++) {
      const words = [1, 2, 3, 4, 5, 6]
      words[i] ^= 1 << bit
      const [k0, k1, a, b, c, d] = words
      seen.add(halfSipHash4(k0, k1, a, b, c, d))
    }
  t.equal(seen.size, 193)
})

t.test('halfSipHash4() spreads ports over the low bits', async t => {
  const buckets = new Int32Array(64)
  for (let port = 0; port < 64_000; port++) buckets[halfSipHash4(7, 9, 1, 2, port, 4) & 63]++
  t.ok(Math.max(...buckets) < 1200, `${Math.max(...buckets)} of 1000 expected`)
  t.ok(Math.min(...buckets) > 800, `${Math.min(...buckets)} of 1000 expected`)
})

/** The paper, section 2, in 64-bit words. */
function slow(key: Uint8Array, m: Uint8Array): bigint {
  const mask = (1n << 64n) - 1n
  const read = (b: Uint8Array, i: number) => {
    let n = 0n
    for (let k = 7; k >= 0; k--) n = (n << 8n) | BigInt(b[i + k] ?? 0)
    return n
  }
  const k0 = read(key, 0)
  const k1 = read(key, 8)
  let v0 = k0 ^ 0x736f6d6570736575n
  let v1 = k1 ^ 0x646f72616e646f6dn
  let v2 = k0 ^ 0x6c7967656e657261n
  let v3 = k1 ^ 0x7465646279746573n
  const rotate = (x: bigint, n: bigint) => ((x << n) | (x >> (64n - n))) & mask
  const round = () => {
    v0 = (v0 + v1) & mask
    v2 = (v2 + v3) & mask
    v1 = rotate(v1, 13n) ^ v0
    v3 = rotate(v3, 16n) ^ v2
    v0 = rotate(v0, 32n)
    v2 = (v2 + v1) & mask
    v0 = (v0 + v3) & mask
    v1 = rotate(v1, 17n) ^ v2
    v3 = rotate(v3, 21n) ^ v0
    v2 = rotate(v2, 32n)
  }
  const whole = m.length & ~7
  for (let i = 0; i <= whole; i += 8) {
    const word = i < whole ? read(m, i) : read(m.slice(whole), 0) | (BigInt(m.length & 255) << 56n)
    v3 ^= word
    round()
    round()
    v0 ^= word
  }
  v2 ^= 0xffn
  for (let i = 0; i < 4; i++) round()
  return v0 ^ v1 ^ v2 ^ v3
}
