// A TCP record without a Tcp: for what only looks at its numbers.
import { TCB_WORDS } from '../../src/stack/transport/tcp/layout.ts'
import {
  DEFAULTS,
  optionNames,
  optionWord,
  type TcpOption,
} from '../../src/stack/transport/tcp/options.ts'
import { Tcb } from '../../src/stack/transport/tcp/tcb.ts'

export function record(): Tcb {
  const memory = new ArrayBuffer(TCB_WORDS * 4)
  const tcb = new Tcb(new Int32Array(memory), new Float64Array(memory), 0)
  tcb.clear()
  for (const name of optionNames) tcb.words[tcb.at + optionWord(name)] = DEFAULTS[name]
  return tcb
}

export function setWord(tcb: Tcb, name: TcpOption, value: number): void {
  tcb.words[tcb.at + optionWord(name)] = value
}
