// The command line of ioth-run: options up to the first word that is none, then the command.
import { parseArgs } from 'node:util'

import { UserError } from '../src/base/user-error.ts'
import {
  checkSettings,
  defaultRoute,
  noSettings,
  parseDnsOption,
  parseMac,
  parseMtu,
  parseName,
  parseOwnAddress,
  parseRoute,
  parseRouter,
  parseServer,
  takeIp6,
  type Settings,
} from '../src/conf/settings.ts'
import { parseConfString } from '../src/conf/string.ts'
import { parseTuning, tuningForms } from '../src/conf/tcp-tuning.ts'
import { absoluteVnl } from '../src/plug/vnl.ts'
import { Failure } from './exit.ts'

export interface RunArgs {
  settings: Settings
  net: string
  verbose: boolean
  /** The program can have no socket of the host's network (preload/filter.h). */
  guard: boolean
  /** Where in the arguments the command begins. */
  command: number
}

/** The keys of --tcp, as many in a line as there is room for. */
function tuningLines(): string {
  const lines = ['']
  for (const form of tuningForms()) {
    const line = lines[lines.length - 1]
    if (line.length + form.length > 70) lines.push(form)
    else lines[lines.length - 1] = line === '' ? form : `${line}  ${form}`
  }
  return lines.map(line => `${' '.repeat(28)}${line}`).join('\n')
}

export const USAGE = `usage: ioth-run [OPTION]... [--] COMMAND [ARGUMENT]...

Runs COMMAND as an Internet node of its own, on a virtual network.

  --ip ADDRESS[/LENGTH]   an address, IPv4 or IPv6 (24 or 64 bits unless given); may be repeated
  --ip6 auto[,ID]         IPv6 addresses as the network's routers say; ID: eui64 (of the Ethernet
                          address, unless given), stable (for this name or command), hash (of --name)
  --ip6 ADDRESS[/LENGTH]  an IPv6 address; may be repeated
  --dhcp                  an IPv4 address, routes and name servers as a DHCP server says
  --route ROUTE           "PREFIX [via GATEWAY] [metric N]", "default via …"; may be repeated
  --gateway ADDRESS       the router to everywhere else; may be repeated, for each family
  --mtu BYTES             the largest packet, where it is not to be the link's
  --tcp KEY=VALUE,...     how its connections differ from Linux's defaults; may be repeated:
${tuningLines()}
  --name NAME             its host name, which it calls itself and tells DHCP servers
  --dns ADDRESS           a name server; may be repeated, for three
  --search DOMAIN         where names are looked for that have no dot; may be repeated
  --dns-option OPTION     as in resolv.conf(5): ndots:2, timeout:1, rotate, …; may be repeated
  --conf STRING           such options in VirtualSquare's words: "ip=10.0.0.5,gw=10.0.0.1", "auto"
  --mac ADDRESS           its Ethernet address (made up unless given)
  --net NETWORK           the network it joins: switch://NAME, a switch's directory, or another
                          plug, such as tap://NAME (switch://default unless given)
  --no-seccomp            let what ioth does not serve (static programs, Go, io_uring) have
                          sockets of the host's network; otherwise it can have none
  --verbose               say on standard error what was started, and what it was given
  --version, --help       print that and end

Exit status: COMMAND's own; 125 if ioth failed, 126 if COMMAND cannot be run, 127 if there is none.
`

const options = {
  ip: { type: 'string', multiple: true },
  ip6: { type: 'string', multiple: true },
  dhcp: { type: 'boolean' },
  route: { type: 'string', multiple: true },
  gateway: { type: 'string', multiple: true },
  mtu: { type: 'string' },
  tcp: { type: 'string', multiple: true },
  name: { type: 'string' },
  dns: { type: 'string', multiple: true },
  search: { type: 'string', multiple: true },
  'dns-option': { type: 'string', multiple: true },
  conf: { type: 'string', multiple: true },
  mac: { type: 'string' },
  net: { type: 'string' },
  'no-seccomp': { type: 'boolean' },
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
  try {
    return { ...configuration(values), command }
  } catch (error) {
    throw error instanceof UserError ? new Failure(error.message) : error
  }
}

/** What --conf says comes first; what it leaves open, the other options say. */
function configuration(values: Values): Omit<RunArgs, 'command'> {
  const conf = values.conf === undefined ? undefined : parseConfString(values.conf.join('\n'))
  const settings = conf?.settings ?? noSettings()
  const each = (name: Multiple, take: Take) => {
    for (const value of values[name] ?? []) take(`--${name} "${value}"`, value)
  }
  each('ip', (what, value) => settings.addresses.push(parseOwnAddress(what, value)))
  each('ip6', (what, value) => takeIp6(settings, what, value))
  each('route', (what, value) => settings.routes.push(parseRoute(what, value)))
  each('gateway', (what, value) => settings.routes.push(defaultRoute(parseRouter(what, value))))
  each('tcp', (what, value) => Object.assign(settings.tcp, parseTuning(what, value)))
  each('dns', (what, value) => settings.dns.push(parseServer(what, value)))
  each('search', (what, value) => settings.search.push(parseName(what, value)))
  each('dns-option', (what, value) => settings.dnsOptions.push(parseDnsOption(what, value)))
  const once = <T>(name: 'mac' | 'name' | 'mtu', parse: (what: string, value: string) => T) => {
    const value = values[name]
    return value === undefined ? undefined : parse(`--${name} "${value}"`, value)
  }
  settings.mac = once('mac', parseMac) ?? settings.mac
  settings.name = once('name', parseName) ?? settings.name
  settings.mtu = once('mtu', parseMtu)
  settings.dhcp ||= values.dhcp ?? false
  checkSettings(settings)
  return {
    settings,
    // The stack server has another working directory.
    net: absoluteVnl(values.net ?? conf?.net ?? 'switch://default'),
    guard: !(values['no-seccomp'] ?? false),
    verbose: (values.verbose ?? false) || (conf?.verbose ?? false),
  }
}

type Take = (what: string, value: string) => void

interface Values {
  ip?: string[]
  ip6?: string[]
  dhcp?: boolean
  route?: string[]
  gateway?: string[]
  mtu?: string
  tcp?: string[]
  name?: string
  dns?: string[]
  search?: string[]
  'dns-option'?: string[]
  conf?: string[]
  mac?: string
  net?: string
  'no-seccomp'?: boolean
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
  if (isMultiple(name)) values[name] = [...(values[name] ?? []), value]
  else if (values[name] !== undefined)
    throw new Failure(`option ${rawName} is given twice: "${String(values[name])}" and "${value}"`)
  else values[name as 'mac'] = value
}

type Multiple =
  'ip' | 'ip6' | 'route' | 'gateway' | 'tcp' | 'dns' | 'search' | 'dns-option' | 'conf'
const isMultiple = (name: Name): name is Multiple => 'multiple' in options[name]

const examples = {
  ip: '--ip 10.0.0.5',
  ip6: '--ip6 auto',
  route: '--route "10.1.0.0/16 via 10.0.0.1"',
  gateway: '--gateway 10.0.0.1',
  mtu: '--mtu 1400',
  tcp: '--tcp cc=cubic,rmem=4m',
  name: '--name www.example.org',
  dns: '--dns 10.0.0.53',
  search: '--search example.org',
  'dns-option': '--dns-option ndots:2',
  conf: '--conf auto',
  mac: '--mac 02:00:00:00:00:05',
  net: '--net switch://lab',
}
