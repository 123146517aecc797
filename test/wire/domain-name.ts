import t from 'tap'
import { emitName, isName, parseNames } from '../../src/wire/domain-name.ts'

const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'latin1'))

for (const [name, wire] of [
  ['a', '\x01a\0'],
  ['www.example.org', '\x03www\x07example\x03org\0'],
  ['www.example.org.', '\x03www\x07example\x03org\0'],
  ['_sip.x-1', '\x04_sip\x03x-1\0'],
  ['', undefined],
  ['.', undefined],
  ['a..b', undefined],
  ['.a', undefined],
  ['a b', undefined],
  ['ä', undefined],
  ['a\nnameserver', undefined],
  ['x'.repeat(63), `\x3f${'x'.repeat(63)}\0`],
  ['x'.repeat(64), undefined],
  [
    Array(4).fill('y'.repeat(62)).join('.'),
    Array(4)
      .fill(`\x3e${'y'.repeat(62)}`)
      .join('') + '\0',
  ],
  [Array(4).fill('y'.repeat(63)).join('.'), undefined],
] as const)
  t.test(`emitName(${JSON.stringify(name.slice(0, 20))}…)`, async t => {
    t.same(emitName(name), wire === undefined ? undefined : bytes(wire))
    t.equal(isName(name), wire !== undefined)
  })

for (const [what, wire, plain, compressed] of [
  ['nothing', '', [], []],
  ['one', '\x01a\x02bc\0', ['a.bc'], ['a.bc']],
  ['two', '\x01a\0\x01b\x01c\0', ['a', 'b.c'], ['a', 'b.c']],
  ['padding', '\x01a\0\0\0\0', ['a'], ['a']],
  // RFC 3397's example: "eng.apple.com" and "marketing" with a pointer to its "apple.com".
  [
    'a pointer',
    '\x03eng\x05apple\x03com\0\x09marketing\xc0\x04',
    undefined,
    ['eng.apple.com', 'marketing.apple.com'],
  ],
  ['a pointer to itself', '\x01a\xc0\x00', undefined, undefined],
  ['a pointer to its own name behind a label', '\x01a\x01b\xc0\x02', undefined, undefined],
  ['a pointer forwards', '\xc0\x02\x01a\0', undefined, undefined],
  ['half a pointer', '\x01a\0\x01b\xc0', undefined, undefined],
  ['a pointer past the end', '\x01a\0\x01b\xcf\xff', undefined, undefined],
  ['two pointers in a row', '\x01a\0\x01b\xc0\0\x01c\xc0\x03', undefined, ['a', 'b.a', 'c.b.a']],
  ['a length past the end', '\x05ab\0', undefined, undefined],
  ['a label of 64 (a reserved type)', `\x40${'a'.repeat(64)}\0`, undefined, undefined],
  ['a name that ends with no zero', '\x01a\0\x01b', ['a'], ['a']],
  ['a name with a newline', '\x01a\0\x03x\ny\0\x01b\0', ['a', 'b'], ['a', 'b']],
  ['a name of 256 bytes', `${`\x3f${'x'.repeat(63)}`.repeat(4)}\0`, undefined, undefined],
  ['33 names', '\x01a\0'.repeat(33), Array(32).fill('a'), Array(32).fill('a')],
] as const)
  t.test(`parseNames(), ${what}`, async t => {
    t.same(parseNames(bytes(wire)), plain)
    t.same(parseNames(bytes(wire), true), compressed, 'with pointers')
  })

t.test('parseNames() of every cut of a list stays within it', async t => {
  const whole = bytes('\x03eng\x05apple\x03com\0\x09marketing\xc0\x04')
  for (let n = 0; n < whole.length; n++) {
    const names = parseNames(whole.slice(0, n), true)
    t.ok(names === undefined || names.length < 2, `${n} bytes`)
  }
})
