import t from 'tap'
import { i32, u16, u32, writeU16, writeU32 } from '../../src/base/bytes.ts'

t.test('u16(), u32() and i32() read network order at any offset', async t => {
  const bytes = Uint8Array.of(0, 0xfe, 0xdc, 0xba, 0x98, 0x01)
  t.equal(u16(bytes, 1), 0xfedc)
  t.equal(u32(bytes, 1), 0xfedcba98)
  t.equal(i32(bytes, 1), 0xfedcba98 | 0)
  t.equal(u32(bytes, 2), 0xdcba9801)
})

t.test('writeU16() and writeU32() write what is read back, and nothing beside it', async t => {
  for (const value of [0, 1, 0xff, 0x100, 0x7fff, 0x8000, 0xffff]) {
    const bytes = new Uint8Array(4).fill(0x55)
    writeU16(bytes, 1, value)
    t.equal(u16(bytes, 1), value)
    t.same([bytes[0], bytes[3]], [0x55, 0x55])
  }
  for (const value of [0, 1, 0x7fffffff, 0x80000000, 0xffffffff, -1, -2147483648]) {
    const bytes = new Uint8Array(6).fill(0x55)
    writeU32(bytes, 1, value)
    t.equal(u32(bytes, 1), value >>> 0)
    t.equal(i32(bytes, 1), value | 0)
    t.same([bytes[0], bytes[5]], [0x55, 0x55])
  }
})
