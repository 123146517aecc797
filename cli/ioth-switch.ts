#!/usr/bin/env node
// ioth-switch: serves one network. Stations start it themselves; by hand it stays until it is told to end.
import { writeSync } from 'node:fs'
import { parseArgs } from 'node:util'

import { parseNetwork } from '../src/plug/network.ts'
import { runtimeDirectory } from '../src/server/runtime.ts'
import { runSwitch } from '../src/switch/run.ts'
import { Failure, reporting, version } from './exit.ts'

const USAGE = `usage: ioth-switch [OPTION]... NETWORK

Serves NETWORK, the virtual Ethernet that programs under ioth-run join: switch://NAME, or a directory.
Who may write the directory may join. SIGTERM ends it.

  --on-demand         end when the last station has left (ioth-run starts it so)
  --version, --help   print that and end
`

const LINGER_MS = 5000

await reporting('ioth-switch', main)

async function main(): Promise<void> {
  const args = parse()
  if (args.help) return print(USAGE)
  if (args.version) return print(`ioth ${version()}\n`)
  await runSwitch(parseNetwork(args.network, runtimeDirectory), {
    linger: args.onDemand ? linger() : Infinity,
    log: line => writeSync(2, `ioth-switch: ${line}\n`),
  })
}

function parse() {
  const options = {
    'on-demand': { type: 'boolean' },
    help: { type: 'boolean' },
    version: { type: 'boolean' },
  } as const
  try {
    const { values, positionals } = parseArgs({ options, allowPositionals: true })
    const { help, version } = values
    const asked = help ?? version ?? false
    if (!asked && positionals.length !== 1)
      throw new Failure(
        `one network is wanted, ${positionals.length} are given (ioth-switch switch://default)`,
      )
    return { help, version, onDemand: values['on-demand'] ?? false, network: positionals[0] }
  } catch (error) {
    if (error instanceof Failure) throw error
    throw new Failure((error as Error).message)
  }
}

/** Tests do not want to wait. */
function linger(): number {
  const ms = Number(process.env.IOTH_SWITCH_LINGER ?? LINGER_MS)
  if (!(ms >= 0))
    throw new Failure(`IOTH_SWITCH_LINGER="${process.env.IOTH_SWITCH_LINGER}": not a time in ms`)
  return ms
}

function print(text: string): void {
  writeSync(1, text)
}
