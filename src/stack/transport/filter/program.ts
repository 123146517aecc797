// A classic BPF program (SO_ATTACH_FILTER), looked at once before it runs, as Linux does it: it cannot loop, since jumps
// go forward, nor leave its memory, divide by a constant zero, or read a cell that nothing was written to.
import { EINVAL } from '../../../base/errno.ts'
import * as O from './opcodes.ts'

/** Behind the 16 bits of a code: loads of what is known of the packet, `ANCILLARY + AD_*`. */
export const ANCILLARY = 0x10000

/** One that may run. Columns of words, an instruction each. */
export class Program {
  readonly length: number
  /** A code of opcodes.ts, or ANCILLARY + what is loaded. */
  readonly code: Int32Array
  readonly jt: Int32Array
  readonly jf: Int32Array
  readonly k: Int32Array
  /** As it came, for SO_GET_FILTER. */
  readonly source: Uint8Array

  private constructor(source: Uint8Array) {
    const length = (this.length = source.length / O.INSTRUCTION_LEN)
    const view = new DataView(source.buffer, source.byteOffset, source.length)
    this.source = source
    this.code = new Int32Array(length)
    this.jt = new Int32Array(length)
    this.jf = new Int32Array(length)
    this.k = new Int32Array(length)
    for (let pc = 0, at = 0; pc < length; pc++, at += O.INSTRUCTION_LEN) {
      this.code[pc] = view.getUint16(at, true)
      this.jt[pc] = view.getUint8(at + 2)
      this.jf[pc] = view.getUint8(at + 3)
      this.k[pc] = view.getInt32(at + 4, true)
    }
  }

  /** The program in `bytes`, which it keeps; a negative errno: it may not run. */
  static load(bytes: Uint8Array): Program | number {
    const { length } = bytes
    if (length === 0 || length % O.INSTRUCTION_LEN !== 0) return -EINVAL
    if (length > O.MOST_INSTRUCTIONS * O.INSTRUCTION_LEN) return -EINVAL
    const program = new Program(bytes)
    return program.check() && program.checkMemory() ? program : -EINVAL
  }

  /** As bpf_check_classic() of Linux; ancillary loads get codes of their own. */
  private check(): boolean {
    const { length, code, jt, jf, k } = this
    for (let pc = 0; pc < length; pc++) {
      const c = code[pc]
      if (!CODES.has(c)) return false
      if (DIVISIONS.has(c) && k[pc] === 0) return false
      if (SHIFTS.has(c) && k[pc] >>> 0 >= 32) return false
      if (isCell(c) && k[pc] >>> 0 >= O.MEMORY_WORDS) return false
      if (c === (O.JMP | O.JA) && k[pc] >>> 0 >= length - pc - 1) return false
      if (isBranch(c) && pc + 1 + Math.max(jt[pc], jf[pc]) >= length) return false
      if (isAbsolute(c) && k[pc] < 0 && k[pc] >= O.SKF_AD_OFF) {
        if (!ANCILLARY_LOADS.has(k[pc] - O.SKF_AD_OFF)) return false
        code[pc] = ANCILLARY + k[pc] - O.SKF_AD_OFF
      }
    }
    return code[length - 1] === (O.RET | O.K) || code[length - 1] === (O.RET | O.A)
  }

  /** Each cell that is read was written on every way to where it is read. */
  private checkMemory(): boolean {
    const { length, code, jt, jf, k } = this
    const masks = new Uint16Array(length).fill(0xffff)
    let written = 0
    for (let pc = 0; pc < length; pc++) {
      written &= masks[pc]
      const c = code[pc]
      if (c === O.ST || c === O.STX) written |= 1 << k[pc]
      else if (isCell(c)) {
        if ((written & (1 << k[pc])) === 0) return false
      } else if (c === (O.JMP | O.JA)) {
        masks[pc + 1 + k[pc]] &= written
        written = 0xffff
      } else if (isBranch(c)) {
        masks[pc + 1 + jt[pc]] &= written
        masks[pc + 1 + jf[pc]] &= written
        written = 0xffff
      }
    }
    return true
  }
}

const isCell = (code: number): boolean =>
  code === O.ST || code === O.STX || code === (O.LD | O.MEM) || code === (O.LDX | O.MEM)

/** A jump on a condition; only these of those that are known. */
const isBranch = (code: number): boolean =>
  code < ANCILLARY && (code & 7) === O.JMP && code !== (O.JMP | O.JA)

const isAbsolute = (code: number): boolean =>
  code === (O.LD | O.W | O.ABS) || code === (O.LD | O.H | O.ABS) || code === (O.LD | O.B | O.ABS)

const both = (base: number, operations: number[]) =>
  operations.flatMap(operation => [base | operation | O.K, base | operation | O.X])

/* prettier-ignore */
const CODES = new Set([
  ...both(O.ALU, [O.ADD, O.SUB, O.MUL, O.DIV, O.MOD, O.AND, O.OR, O.XOR, O.LSH, O.RSH]),
  O.ALU | O.NEG,
  ...both(O.JMP, [O.JEQ, O.JGT, O.JGE, O.JSET]),
  O.JMP | O.JA,
  ...[O.W, O.H, O.B].flatMap(size => [O.LD | size | O.ABS, O.LD | size | O.IND]),
  O.LD | O.W | O.LEN, O.LDX | O.W | O.LEN, O.LD | O.IMM, O.LDX | O.IMM,
  O.LD | O.MEM, O.LDX | O.MEM, O.ST, O.STX, O.LDX | O.B | O.MSH,
  O.MISC | O.TAX, O.MISC | O.TXA, O.RET | O.K, O.RET | O.A,
])
const DIVISIONS = new Set([O.ALU | O.DIV | O.K, O.ALU | O.MOD | O.K])
const SHIFTS = new Set([O.ALU | O.LSH | O.K, O.ALU | O.RSH | O.K])
const ANCILLARY_LOADS = new Set(Array.from({ length: O.AD_MAX / 4 }, (_, i) => 4 * i))
