// Classic BPF programs for tests: written as statements, or as `tcpdump -ddd` prints them.
import { Program } from '../../src/stack/transport/filter/program.ts'
import { INSTRUCTION_LEN } from '../../src/stack/transport/filter/opcodes.ts'

export type Instruction = readonly [code: number, k?: number, jt?: number, jf?: number]

/** struct sock_filter of each. */
export function assemble(instructions: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(instructions.length * INSTRUCTION_LEN)
  const view = new DataView(bytes.buffer)
  instructions.forEach(([code, k = 0, jt = 0, jf = 0], i) => {
    const at = i * INSTRUCTION_LEN
    view.setUint16(at, code, true)
    view.setUint8(at + 2, jt)
    view.setUint8(at + 3, jf)
    view.setUint32(at + 4, k >>> 0, true)
  })
  return bytes
}

export function program(...instructions: Instruction[]): Program {
  const loaded = Program.load(assemble(instructions))
  if (typeof loaded === 'number') throw new Error(`Cannot load the program: ${loaded}`)
  return loaded
}

/** `tcpdump -ddd`: a line each of code, jt, jf, k. */
export const compiled = (text: string): Program =>
  program(
    ...text
      .trim()
      .split('\n')
      .map(line => line.trim().split(' ').map(Number))
      .map(([code, jt, jf, k]): Instruction => [code, k, jt, jf]),
  )
