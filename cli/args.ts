// The command line of ioth-run: options up to the first word that is none, then the command.
import { parseArgs } from 'node:util'

import { absoluteVnl } from '../src/plug/vnl.ts'
import { formatPrefix, parseAddress, parsePrefix, type Prefix } from '../src/wire/address-text.ts'
import type { Address } from '../src/wire/address.ts'
import { Failure } from './exit.ts'

export interface RunArgs {
  /** "10.0.0.5/24" */
  addresses: string[]
  mac: string | undefined
  gateway: string | undefined
  net: string
  verbose: boolean
  /** Where in the arguments the command begins. */
  command: number
}

export const USAGE = `usage: ioth-run [OPTION]... [--] COMMAND [ARGUMENT]...

Runs COMMAND as an Internet node of its own, on a virtual network.

  --ip ADDRESS[/LENGTH]   its IPv4 address (prefix length 24 unless given); may be repeated
  --mac ADDRESS           its Ethernet address (made up unless given)
  --net NETWORK           the network it joins: switch://NAME, a switch's directory, or another
                          plug, such as tap://NAME (switch://default unless given)
  --gateway ADDRESS       the router to everywhere else
  --verbose               say on standard error what was started
  --version, --help       print that and end

Exit status: COMMAND's own; 125 if ioth failed, 126 if COMMAND cannot be run, 127 if there is none.
`

const options = {
  ip: { type: 'string', multiple: true },
  mac: { type: 'string' },
  net: { type: 'string' },
  gateway: { type: 'string' },
  verbose: { type: 'boolean' },
  version: { type: 'boolean' },
  help: { type: 'boolean' },
} as const
type Name = keyof typeof options

/** The options in `args` and where the command begins, or what is to be printed instead. */
export function parseRunArgs(args: string[]): RunArgs | 'help' | 'version' {
  const { values, command } = split(args)
  if (values.help) return 'help'
  if (values.version) return 'version'
  if (command === args.length)
    throw new Failure('no command given (ioth-run --ip 10.0.0.5 nginx would run nginx)')
  const addresses = (values.ip ?? []).map(parseIp)
  return {
    addresses: addresses.map(formatPrefix),
    mac: values.mac === undefined ? undefined : parseMac(values.mac),
    gateway: values.gateway === undefined ? undefined : parseGateway(values.gateway, addresses),
    // The stack server has another working directory.
    net: absoluteVnl(values.net ?? 'switch://default'),
    verbose: values.verbose ?? false,
    command,
  }
}

interface Values {
  ip?: string[]
  mac?: string
  net?: string
  gateway?: string
  verbose?: boolean
  version?: boolean
  help?: boolean
}

/** parseArgs gives tokens for all of the line; those before the first other word are ours. */
function split(args: string[]): { values: Values; command: number } {
  const { tokens } = parseArgs({ args, options, strict: false, tokens: true })
  const values: Values = {}
  for (const token of tokens) {
    if (token.kind === 'positional') return { values, command: token.index }
    if (token.kind === 'option-terminator') return { values, command: token.index + 1 }
    take(values, token.name as Name, token.rawName, token.value)
  }
  return { values, command: args.length }
}

function take(values: Values, name: Name, rawName: string, value: string | undefined): void {
  if (!rawName.startsWith('--') || !Object.hasOwn(options, name)) {
    const known = Object.keys(options).map(known => `--${known}`)
    throw new Failure(`unknown option "${rawName}" (there are ${known.join(' ')})`)
  }
  if (options[name].type === 'boolean') {
    if (value !== undefined) throw new Failure(`option ${rawName} takes no value, not "${value}"`)
    values[name as 'verbose'] = true
    return
  }
  if (value === undefined || value === '' || value.startsWith('-'))
    throw new Failure(
      `option ${rawName} needs a value (${examples[name as keyof typeof examples]})`,
    )
  if (name === 'ip') values.ip = [...(values.ip ?? []), value]
  else if (values[name] !== undefined)
    throw new Failure(`option ${rawName} is given twice: "${String(values[name])}" and "${value}"`)
  else values[name as 'mac'] = value
}

const examples = {
  ip: '--ip 10.0.0.5',
  mac: '--mac 02:00:00:00:00:05',
  net: '--net switch://lab',
  gateway: '--gateway 10.0.0.1',
}

function parseIp(value: string): Prefix {
  if (value.includes(':'))
    throw new Failure(`cannot use --ip "${value}": networks carry IPv4 only (write 10.0.0.5)`)
  const prefix = parsePrefix(value, 24)
  if (!prefix)
    throw new Failure(
      `cannot use --ip "${value}": not an IPv4 address (write 10.0.0.5 or 10.0.0.5/24)`,
    )
  if (prefix.prefixLength === 0)
    throw new Failure(`cannot use --ip "${value}": the prefix length is 1 to 32`)
  const why = unfitForHost(prefix.address)
  if (why) throw new Failure(`cannot use --ip "${value}": ${why}`)
  return prefix
}

/** Why no host may have this address (RFC 1122 section 3.2.1.3), if so. */
function unfitForHost(address: Address): string | undefined {
  const first = address.d >>> 24
  if (first === 0) return 'addresses that begin with 0 mean "this network"'
  if (address.isLoopback) return '127.0.0.0/8 is the loopback, which every program has anyway'
  if (address.isMulticast) return 'it is a multicast address'
  if (first >= 240) return 'addresses from 240.0.0.0 on are reserved'
  return undefined
}

function parseGateway(value: string, own: Prefix[]): string {
  const gateway = value.includes(':') ? undefined : parseAddress(value)
  if (!gateway)
    throw new Failure(`cannot use --gateway "${value}": not an IPv4 address (write 10.0.0.1)`)
  const why = unfitForHost(gateway)
  if (why) throw new Failure(`cannot use --gateway "${value}": ${why}`)
  if (own.some(({ address }) => address.equals(gateway)))
    throw new Failure(`cannot use --gateway "${value}": it is the program's own address`)
  if (!own.some(({ address, prefixLength }) => address.matches(gateway, prefixLength)))
    throw new Failure(
      `cannot use --gateway "${value}": ` +
        (own.length > 0
          ? `it is not on the network of --ip ${own.map(formatPrefix).join(' ')}`
          : 'it needs an --ip on its network'),
    )
  return value
}

function parseMac(value: string): string {
  const mac = value.toLowerCase()
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac))
    throw new Failure(
      `cannot use --mac "${value}": not an Ethernet address (write 02:00:00:00:00:05)`,
    )
  if (parseInt(mac.slice(0, 2), 16) & 1)
    throw new Failure(`cannot use --mac "${value}": it is a multicast address (02:… is private)`)
  if (mac === '00:00:00:00:00:00')
    throw new Failure(`cannot use --mac "${value}": it is nobody's (02:… is private)`)
  return mac
}
