import t from 'tap'

import * as O from '../../../../src/stack/transport/filter/opcodes.ts'
import { Program } from '../../../../src/stack/transport/filter/program.ts'
import { type Instruction, assemble } from '../../../helpers/bpf.ts'

const accept: Instruction = [O.RET | O.K, 0xffff]
const AD = O.SKF_AD_OFF

const filled = (n: number, last: Instruction = accept): Instruction[] => [
  ...Array.from({ length: n - 1 }, (): Instruction => [O.LD | O.IMM, 1]),
  last,
]

for (const [title, instructions, runs] of [
  ['RET K alone', [accept], true],
  ['RET A alone', [[O.RET | O.A]], true],
  ['RET X, which there is not', [[O.RET | O.X]], false],
  ['no RET at the end', [accept, [O.LD | O.IMM]], false],
  ['a code of 16 bits', [[0x100 | O.RET], accept], false],
  ['a code that nothing has', [[0xff], accept], false],
  ['LDX of a word of the packet', [[O.LDX | O.W | O.ABS], accept], false],
  ['4,096 instructions', filled(4096), true],
  ['4,097 instructions', filled(4097), false],
  ['division by the constant 0', [[O.ALU | O.DIV | O.K, 0], accept], false],
  ['remainder by the constant 0', [[O.ALU | O.MOD | O.K, 0], accept], false],
  ['division by X', [[O.ALU | O.DIV | O.X, 0], accept], true],
  ['left shift by 31', [[O.ALU | O.LSH | O.K, 31], accept], true],
  ['left shift by 32', [[O.ALU | O.LSH | O.K, 32], accept], false],
  ['right shift by -1', [[O.ALU | O.RSH | O.K, -1], accept], false],
  ['ST to cell 15', [[O.ST, 15], accept], true],
  ['ST to cell 16', [[O.ST, 16], accept], false],
  ['STX to cell -1', [[O.STX, -1], accept], false],
  ['LD of a cell not written', [[O.LD | O.MEM, 3], accept], false],
  ['LDX of a cell written', [[O.ST, 3], [O.LDX | O.MEM, 3], accept], true],
  ['LD of another cell', [[O.ST, 3], [O.LD | O.MEM, 4], accept], false],
  [
    'a cell written on one of two ways only',
    [[O.JMP | O.JEQ | O.K, 0, 0, 1], [O.ST, 3], [O.LD | O.MEM, 3], accept],
    false,
  ],
  [
    'a cell written on both ways',
    [
      [O.JMP | O.JEQ | O.K, 0, 0, 2],
      [O.ST, 3],
      [O.JMP | O.JA, 1],
      [O.ST, 3],
      [O.LD | O.MEM, 3],
      accept,
    ],
    true,
  ],
  ['what is read where nobody comes', [[O.JMP | O.JA, 1], [O.LD | O.MEM, 3], accept], true],
  ['JA to the last', [[O.JMP | O.JA, 0], accept], true],
  ['JA past the last', [[O.JMP | O.JA, 1], accept], false],
  ['JA backwards', [[O.LD | O.IMM], [O.JMP | O.JA, -2], accept], false],
  ['JEQ past the last, when true', [[O.JMP | O.JEQ | O.K, 0, 1, 0], accept], false],
  ['JSET past the last, when false', [[O.JMP | O.JSET | O.X, 0, 0, 1], accept], false],
  ['a load that is known of the packet', [[O.LD | O.B | O.ABS, AD + O.AD_VLAN_TPID], accept], true],
  ['one that is not', [[O.LD | O.B | O.ABS, AD + O.AD_MAX], accept], false],
  ['half of one', [[O.LD | O.B | O.ABS, AD + 2], accept], false],
  ['the same far behind X: it finds nothing', [[O.LD | O.B | O.IND, AD + O.AD_MAX], accept], true],
  ['the network header', [[O.LD | O.W | O.ABS, O.SKF_NET_OFF], accept], true],
  ['below the link header: it finds nothing', [[O.LD | O.W | O.ABS, -0x80000000], accept], true],
] as const satisfies [string, Instruction[], boolean][])
  t.test(`Program.load(): ${title}: ${runs ? 'may run' : 'EINVAL'}`, async t => {
    const loaded = Program.load(assemble(instructions))
    t.equal(typeof loaded === 'number' ? loaded : 0, runs ? 0 : -22)
  })

t.test('Program.load(): no instruction, half of one: EINVAL', async t => {
  t.equal(Program.load(new Uint8Array(0)), -22)
  t.equal(Program.load(new Uint8Array(12)), -22)
})

t.test('Program.source is what came', async t => {
  const bytes = assemble([[O.LD | O.B | O.ABS, AD + O.AD_PKTTYPE], accept])
  t.same((Program.load(bytes.slice()) as Program).source, bytes)
})
