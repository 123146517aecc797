#!/usr/bin/env node
// ioth: what is done with networks, one subcommand each.
import { writeSync } from 'node:fs'

import { doctor } from './doctor.ts'
import { Failure, reporting, version } from './exit.ts'
import { plug } from './plug.ts'

const USAGE = `usage: ioth COMMAND [ARGUMENT]...

  plug VNL VNL     a cable between two plugs
  doctor PROGRAM   whether ioth-run can serve a program, and how
  --version, --help

ioth COMMAND --help tells more. Programs are run by ioth-run.
`

const commands: Record<string, (args: string[]) => Promise<void> | void> = { plug, doctor }

await reporting('ioth', main)

async function main(): Promise<void> {
  const [command, ...args] = process.argv.slice(2)
  if (command === '--help') return void writeSync(1, USAGE)
  if (command === '--version') return void writeSync(1, `ioth ${version()}\n`)
  const known = Object.keys(commands).join(' ')
  if (command === undefined) throw new Failure(`no command given (there are: ${known})`)
  if (!Object.hasOwn(commands, command))
    throw new Failure(`no such command "${command}" (there are: ${known})`)
  await commands[command](args)
}
