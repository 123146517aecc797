import t from 'tap'
import { Address } from '../../src/wire/address.ts'
import {
  checksum,
  finish,
  fold,
  pseudoSum,
  pseudoSumV4,
  sumBytes,
} from '../../src/wire/checksum.ts'
import { random, randomBytes } from '../helpers/random.ts'

/** RFC 1071 section 1, word by word. */
function slow(bytes: Uint8Array): number {
  let sum = 0
  for (let i = 0; i < bytes.length; i += 2) {
    sum += bytes[i] * 256 + (i + 1 < bytes.length ? bytes[i + 1] : 0)
    if (sum > 0xffff) sum -= 0xffff
  }
  return sum
}

/** 0 and 0xffff are the same number in one's complement. */
const same = (a: number, b: number) => a % 0xffff === b % 0xffff

t.test("sumBytes() gives RFC 1071's example", async t => {
  const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7)
  t.equal(sumBytes(bytes, 0, 8, 0), 0xddf2)
  t.equal(checksum(bytes, 0, 8), 0x220d)
})

t.test('checksum() of a captured IPv4 header is 0, of a damaged one it is not', async t => {
  const header = Uint8Array.from(Buffer.from('45000073000040004011b861c0a80001c0a800c7', 'hex'))
  t.equal(checksum(header, 0, 20), 0)
  header[3] ^= 1
  t.not(checksum(header, 0, 20), 0)
})

t.test('sumBytes() equals the slow sum at every offset and length up to 80, seed 1', async t => {
  const bytes = new Uint8Array(new ArrayBuffer(256), 3, 200)
  randomBytes(1)(bytes)
  let wrong = 0
  for (let at = 0; at < 9; at++)
    for (let length = 0; length <= 80; length++)
      if (!same(sumBytes(bytes, at, length, 0), slow(bytes.slice(at, at + length)))) wrong++
  t.equal(wrong, 0)
})

t.test('sumBytes() continues a running sum, also from an odd offset', async t => {
  const bytes = new Uint8Array(200)
  randomBytes(2)(bytes)
  for (const at of [0, 1, 2, 3]) {
    const first = sumBytes(bytes, at, 60, 0)
    t.ok(same(sumBytes(bytes, at + 60, 77, first), slow(bytes.slice(at, at + 137))), `offset ${at}`)
  }
})

t.test('sumBytes() of 64 KB of ones carries right', async t => {
  const bytes = new Uint8Array(65535).fill(0xff)
  for (const [at, length] of [
    [0, 65534],
    [1, 65534],
    [0, 65535],
  ]) {
    const sum = sumBytes(bytes, at, length, 0xffff)
    t.ok(same(sum, slow(bytes.slice(at, at + length))), `${length} bytes at ${at}`)
    t.ok(sum <= 0xffff)
  }
})

t.test('sumBytes() in many buffers, seed 3', async t => {
  const next = random(3)
  const buffers = Array.from({ length: 9 }, (_, i) => {
    const bytes = new Uint8Array(1000 + i)
    randomBytes(i)(bytes)
    return bytes
  })
  let wrong = 0
  for (let i = 0; i < 2000; i++) {
    const bytes = buffers[next() % 9]
    const at = next() % 500
    const length = next() % 500
    if (!same(sumBytes(bytes, at, length, 0), slow(bytes.slice(at, at + length)))) wrong++
  }
  t.equal(wrong, 0)
})

t.test('fold() takes sums of up to 47 bits', async t => {
  for (const sum of [0, 0xffff, 0x10000, 0x1fffe, 0xffffffff, 2 ** 32, 2 ** 40 + 7, 2 ** 47 - 1]) {
    t.ok(same(fold(sum), sum), `${sum}`)
    t.ok(fold(sum) <= 0xffff)
  }
  t.equal(finish(0xffff), 0)
})

t.test('pseudoSum() is the sum of the pseudo-header, IPv4 and IPv6', async t => {
  const v4 = Uint8Array.of(192, 168, 255, 1, 250, 250, 0, 9, 0, 6)
  const [a, b] = [Address.read(v4, 0, 4), Address.read(v4, 4, 4)]
  t.ok(same(fold(pseudoSum(a, b, 6)), slow(v4)))
  t.ok(same(fold(pseudoSumV4(a.d, b.d, 6)), slow(v4)))

  const v6 = new Uint8Array(34)
  randomBytes(4)(v6)
  v6[32] = 0
  const sum = pseudoSum(Address.read(v6, 0, 16), Address.read(v6, 16, 16), v6[33])
  t.ok(same(fold(sum), slow(v6)))
})
