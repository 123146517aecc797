import t from 'tap'

import { newSubject, run, type Subject } from '../../../../src/stack/transport/filter/machine.ts'
import * as O from '../../../../src/stack/transport/filter/opcodes.ts'
import { Program } from '../../../../src/stack/transport/filter/program.ts'
import { type Instruction, assemble, compiled, program } from '../../../helpers/bpf.ts'
import { random } from '../../../helpers/random.ts'

/** A frame of 0, 1, 2, … behind margins that nothing may see. */
function subject(length = 64, more: Partial<Subject> = {}): Subject {
  const bytes = new Uint8Array(length + 32).fill(0xee)
  for (let i = 0; i < length; i++) bytes[16 + i] = i
  return { ...newSubject(), bytes, at: 16, length, link: 16, network: 30, ...more }
}

const none = () => 0
const a = (k: number): Instruction => [O.LD | O.IMM, k]
const x = (k: number): Instruction => [O.LDX | O.IMM, k]
const giveA: Instruction = [O.RET | O.A]
const AD = O.SKF_AD_OFF
const NET = O.SKF_NET_OFF
const LL = O.SKF_LL_OFF

const alu = (op: number, left: number, right: number): Instruction[][] => [
  [a(left), [O.ALU | op | O.K, right], giveA],
  [a(left), x(right), [O.ALU | op | O.X], giveA],
]

for (const [name, op, left, right, want] of [
  ['ADD wraps', O.ADD, 0xffffffff, 2, 1],
  ['SUB wraps', O.SUB, 1, 2, 0xffffffff],
  ['MUL has 32 bits', O.MUL, 0x10001, 0x10001, 0x20001],
  ['MUL of large numbers', O.MUL, 0xffffffff, 0xffffffff, 1],
  ['DIV is unsigned', O.DIV, 0xfffffffe, 2, 0x7fffffff],
  ['DIV by 1', O.DIV, 0xffffffff, 1, 0xffffffff],
  ['DIV by more than 31 bits', O.DIV, 0xffffffff, 0x80000000, 1],
  ['MOD is unsigned', O.MOD, 0xffffffff, 10, 5],
  ['AND', O.AND, 0xf0f0, 0xff00, 0xf000],
  ['OR', O.OR, 0xf0, 0x0f, 0xff],
  ['XOR', O.XOR, 0xff, 0x0f, 0xf0],
  ['LSH', O.LSH, 3, 31, 0x80000000],
  ['RSH brings zeros', O.RSH, 0x80000000, 31, 1],
] as const)
  for (const [i, instructions] of alu(op, left, right).entries())
    t.test(`run(): ${name}, ${i === 0 ? 'K' : 'X'}`, async t => {
      t.equal(run(program(...instructions), subject(), none), want)
    })

for (const [name, op, left, right, want] of [
  ['JEQ', O.JEQ, 5, 5, true],
  ['JEQ of others', O.JEQ, 5, 6, false],
  ['JGT is unsigned', O.JGT, 0xffffffff, 1, true],
  ['JGT of equals', O.JGT, 5, 5, false],
  ['JGE of equals', O.JGE, 5, 5, true],
  ['JGE is unsigned', O.JGE, 1, 0x80000000, false],
  ['JSET', O.JSET, 6, 2, true],
  ['JSET of no common bit', O.JSET, 6, 9, false],
] as const)
  for (const operand of [O.K, O.X])
    t.test(`run(): ${name}, ${operand === O.K ? 'K' : 'X'}`, async t => {
      const jump: Instruction = [O.JMP | op | operand, right, 1, 0]
      const no: Instruction = [O.RET | O.K, 10]
      const yes: Instruction = [O.RET | O.K, 20]
      const loadX = x(operand === O.K ? 77 : right)
      t.equal(run(program(a(left), loadX, jump, no, yes), subject(), none), want ? 20 : 10)
    })

const NOTHING = 0
for (const [name, instructions, want] of [
  ['LD W ABS', [[O.LD | O.W | O.ABS, 1], giveA], 0x01020304],
  ['LD H ABS', [[O.LD | O.H | O.ABS, 2], giveA], 0x0203],
  ['LD B ABS, the last byte', [[O.LD | O.B | O.ABS, 63], giveA], 63],
  ['LD B ABS past the end', [[O.LD | O.B | O.ABS, 64], giveA], NOTHING],
  ['LD H ABS half past the end', [[O.LD | O.H | O.ABS, 63], giveA], NOTHING],
  ['LD W ABS half past the end', [[O.LD | O.W | O.ABS, 61], giveA], NOTHING],
  ['LD far past the end', [[O.LD | O.W | O.ABS, 0x7fffffff], giveA], NOTHING],
  [
    'what a load that fails leaves is not returned',
    [a(9), [O.LD | O.B | O.ABS, 64], giveA],
    NOTHING,
  ],
  ['LD W IND', [x(8), [O.LD | O.W | O.IND, 2], giveA], 0x0a0b0c0d],
  ['LD B IND, X negative', [x(-4), [O.LD | O.B | O.IND, 10], giveA], 6],
  ['LD B IND before the packet', [x(-4), [O.LD | O.B | O.IND, 1], giveA], NOTHING],
  ['LD H IND, the sum wraps', [x(-1), [O.LD | O.H | O.IND, 3], giveA], 0x0203],
  ['LDX MSH', [[O.LDX | O.B | O.MSH, 0x17], [O.MISC | O.TXA], giveA], 28],
  ['LDX MSH past the end', [[O.LDX | O.B | O.MSH, 64], [O.MISC | O.TXA], giveA], NOTHING],
  ['LD LEN', [[O.LD | O.W | O.LEN], giveA], 64],
  ['LDX LEN', [[O.LDX | O.W | O.LEN], [O.MISC | O.TXA], giveA], 64],
  ['cells', [a(7), [O.ST, 3], a(8), [O.LDX | O.MEM, 3], [O.MISC | O.TXA], giveA], 7],
  ['cells of X', [x(7), [O.STX, 15], a(8), [O.LD | O.MEM, 15], giveA], 7],
  ['NEG', [a(1), [O.ALU | O.NEG], giveA], 0xffffffff],
  ['TAX', [a(6), [O.MISC | O.TAX], a(1), [O.ALU | O.ADD | O.X], giveA], 7],
  [
    'JA',
    [
      [O.JMP | O.JA, 1],
      [O.RET | O.K, 1],
      [O.RET | O.K, 2],
    ],
    2,
  ],
  ['DIV by X of 0', [a(5), [O.ALU | O.DIV | O.X], [O.RET | O.K, 1]], NOTHING],
  ['MOD by X of 0', [a(5), [O.ALU | O.MOD | O.X], [O.RET | O.K, 1]], NOTHING],
  ['LSH by X of 33 is by 1', [a(1), x(33), [O.ALU | O.LSH | O.X], giveA], 2],
  ['RET K is unsigned', [[O.RET | O.K, -1]], 0xffffffff],
  ['SKF_NET_OFF', [[O.LD | O.H | O.ABS, NET + 1], giveA], 0x0f10],
  ['SKF_NET_OFF by X', [x(NET), [O.LD | O.B | O.IND, 3], giveA], 17],
  ['SKF_NET_OFF past the end', [[O.LD | O.B | O.ABS, NET + 50], giveA], NOTHING],
  ['SKF_LL_OFF', [[O.LD | O.B | O.ABS, LL + 5], giveA], 5],
  ['below SKF_LL_OFF', [[O.LD | O.B | O.ABS, LL - 1], giveA], NOTHING],
  ['SKF_AD_OFF by X', [x(AD), [O.LD | O.B | O.IND, 0], giveA], NOTHING],
  ['XOR of A and X', [a(6), x(3), [O.LD | O.B | O.ABS, AD + O.AD_ALU_XOR_X], giveA], 5],
] as const satisfies [string, Instruction[], number][])
  t.test(`run(): ${name}`, async t => {
    t.equal(run(program(...instructions), subject(), none), want)
  })

t.test('run(): SKF_LL_OFF where there is no link header', async t => {
  t.equal(run(program([O.LD | O.B | O.ABS, LL + 5], giveA), subject(64, { link: -1 }), none), 0)
})

const known: Partial<Subject> = {
  ethertype: 0x86dd,
  type: 4,
  device: 2,
  hardware: 1,
  mark: 9,
  tag: 0x2005,
  tagType: 0x88a8,
}
for (const [name, what, want] of [
  ['PROTOCOL', O.AD_PROTOCOL, 0x86dd],
  ['PKTTYPE', O.AD_PKTTYPE, 4],
  ['IFINDEX', O.AD_IFINDEX, 2],
  ['HATYPE', O.AD_HATYPE, 1],
  ['MARK', O.AD_MARK, 9],
  ['VLAN_TAG', O.AD_VLAN_TAG, 0x2005],
  ['VLAN_TAG_PRESENT', O.AD_VLAN_TAG_PRESENT, 1],
  ['VLAN_TPID', O.AD_VLAN_TPID, 0x88a8],
  ['RANDOM', O.AD_RANDOM, 0xfffffffe],
  ['CPU', O.AD_CPU, 0],
  ['QUEUE', O.AD_QUEUE, 0],
  ['RXHASH', O.AD_RXHASH, 0],
] as const)
  t.test(`run(): SKF_AD_${name}, whatever the size of the load`, async t => {
    for (const size of [O.B, O.H, O.W]) {
      const p = program([O.LD | size | O.ABS, AD + what], giveA)
      t.equal(
        run(p, subject(64, known), () => -2),
        want,
      )
    }
  })

t.test('run(): no tag; no device ends the program', async t => {
  const load = (what: number) =>
    program([O.LD | O.W | O.ABS, AD + what], [O.ALU | O.ADD | O.K, 1], giveA)
  t.equal(run(load(O.AD_VLAN_TAG_PRESENT), subject(), none), 1)
  t.equal(run(load(O.AD_VLAN_TAG), subject(), none), 1)
  t.equal(run(load(O.AD_IFINDEX), subject(), none), 0)
  t.equal(run(load(O.AD_HATYPE), subject(), none), 0)
})

// ---- packets

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'))
const ETHER = '020000000006 020000000005'
const framed = (text: string, ethertype: number): Subject => {
  const bytes = hex(text)
  return { ...newSubject(), bytes, length: bytes.length, link: 0, network: 14, ethertype }
}
const TCP_TO_80 = `${ETHER} 0800 45000028 00004000 40060000 0a000005 0a000006 c0010050 00000001 00000000 5002ffff 00000000`
const UDP_FROM_80 = `${ETHER} 0800 4500001c 00004000 40110000 0a000005 0a000006 00500035 00080000`
const LATER_FRAGMENT = `${ETHER} 0800 45000028 00000005 40060000 0a000005 0a000006 00500050 00000001 00000000 5002ffff 00000000`
const TCP6_FROM_80 = `${ETHER} 86dd 60000000 00140640 ${'00'.repeat(32)} 0050c001 00000001 00000000 6002ffff 00000000`
const WITH_HOPOPTS = `${ETHER} 86dd 60000000 00100040 ${'00'.repeat(32)} 1100010400000000 00500035 00080000`

const TCP_PORT_80 = compiled(`
  40 0 0 12\n 21 0 6 34525\n 48 0 0 20\n 21 0 15 6\n 40 0 0 54\n 21 12 0 80\n 40 0 0 56
  21 10 11 80\n 21 0 10 2048\n 48 0 0 23\n 21 0 8 6\n 40 0 0 20\n 69 6 0 8191\n 177 0 0 14
  72 0 0 14\n 21 2 0 80\n 72 0 0 16\n 21 0 1 80\n 6 0 0 262144\n 6 0 0 0`)

for (const [name, text, ethertype, wanted, payload] of [
  ['TCP over IPv4', TCP_TO_80, 0x0800, true, 54],
  ['UDP over IPv4', UDP_FROM_80, 0x0800, false, 42],
  ['a later fragment', LATER_FRAGMENT, 0x0800, false, 34],
  ['TCP over IPv6, with options', TCP6_FROM_80, 0x86dd, true, 74],
  ['UDP over IPv6, behind a header', WITH_HOPOPTS, 0x86dd, false, 70],
] as const) {
  t.test(`run(): tcpdump's "tcp port 80": ${name}`, async t => {
    t.equal(run(TCP_PORT_80, framed(text, ethertype), none), wanted ? 262144 : 0)
  })
  t.test(`run(): SKF_AD_PAY_OFFSET: ${name}`, async t => {
    const p = program([O.LD | O.W | O.ABS, AD + O.AD_PAY_OFFSET], giveA)
    t.equal(run(p, framed(text, ethertype), none), payload)
    const whole = framed(text, ethertype)
    for (let length = 0; length < whole.length; length++)
      t.ok(run(p, { ...whole, length }, none) <= length, `cut to ${length}`)
  })
}

t.test('run(): SKF_AD_NLATTR and SKF_AD_NLATTR_NEST', async t => {
  // Type 1 (5 bytes and padding), type 2 with types 7 and 8 in it.
  const text = '0500 0100 aa000000  1000 0200  0400 0700 0800 0800 01020304'
  const s = { ...framed(text, 0), at: 0 }
  const look = (what: number, from: number, type: number) =>
    run(program(a(from), x(type), [O.LD | O.W | O.ABS, AD + what], giveA), s, none)
  t.equal(look(O.AD_NLATTR, 0, 2), 8)
  t.equal(look(O.AD_NLATTR, 0, 9), 0)
  t.equal(look(O.AD_NLATTR, 1000, 2), 0)
  t.equal(look(O.AD_NLATTR_NEST, 8, 8), 16)
  t.equal(look(O.AD_NLATTR_NEST, 8, 2), 0)
})

// ---- rubbish

const CELL: Instruction = [O.ST, 1]
const CODES = Array.from({ length: 256 }, (_, code) => code)
const GOOD = CODES.filter(
  code =>
    typeof Program.load(assemble([CELL, [code, 1], [O.RET | O.K], [O.RET | O.K]])) !== 'number',
)

/** Programs that are mostly well-formed; half of the numbers are small. */
function noise(next: () => number): Instruction[] {
  const n = 1 + (next() % 20)
  const instructions = Array.from({ length: n }, (): Instruction => {
    const k = [1, next() % 40, next(), AD + 4 * (next() % 17), NET + (next() % 80)][next() % 5]
    const codes = next() % 50 === 0 ? CODES : GOOD
    return [codes[next() % codes.length], k, next() % 3, next() % 3]
  })
  return [CELL, ...instructions, [next() % 2 === 0 ? O.RET | O.A : O.RET | O.K, next()]]
}

t.test(
  'run(): 100,000 programs of noise, seed 3: none throws, none reads what it may not',
  async t => {
    const next = random(3)
    const word = () => next() >>> 0
    let ran = 0
    for (let i = 0; i < 100_000; i++) {
      const instructions = noise(word)
      const loaded = Program.load(assemble(instructions))
      if (typeof loaded === 'number') {
        if (loaded !== -22) t.fail(`load() gave ${loaded}`)
        continue
      }
      ran++
      const s = subject(word() % 64, known)
      const first = run(loaded, s, none)
      // What lies around the packet does not matter.
      s.bytes.fill(0x11, 0, 16).fill(0x11, 16 + s.length)
      if (run(loaded, s, none) !== first) t.fail(JSON.stringify(instructions))
      if (!Number.isInteger(first) || first < 0 || first > 0xffffffff) t.fail(`run() gave ${first}`)
    }
    t.ok(ran > 10_000, `${ran} of them may run`)
  },
)

t.test('run(): 4,096 instructions take no longer than they are many', async t => {
  const most = program(
    ...Array.from({ length: 4095 }, (): Instruction => [O.LD | O.W | O.ABS, AD + O.AD_PAY_OFFSET]),
    giveA,
  )
  const s = framed(TCP6_FROM_80, 0x86dd)
  const begin = performance.now()
  for (let i = 0; i < 100; i++) run(most, s, none)
  t.ok((performance.now() - begin) / 100 < 50, 'ms each')
})
