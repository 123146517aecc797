// The option string of VirtualSquare's iothconf, `--conf 'eth,fqdn=www.example.org,auto,slaac'`: the same options with
// the same meaning, for a stack that is about to start. Options stand between commas, semicolons and white space; quotes
// and backslashes protect what would end one; '#' begins a comment. A later `-option` takes back what an earlier one said.
import { UserError } from '../base/user-error.ts'
import { formatMac } from '../wire/mac.ts'
import { hashMac } from './interface-id.ts'
import {
  checkSettings,
  defaultRoute,
  noSettings,
  parseMac,
  parseName,
  parseOwnAddress,
  parseRouter,
  parseServer,
  type Settings,
} from './settings.ts'

export interface ConfString {
  settings: Settings
  /** `vnl=`, as --net. */
  net: string | undefined
  /** `debug`, as --verbose. */
  verbose: boolean
}

interface State extends ConfString {
  eth: boolean
}

type Take = (state: State, what: string, value: string) => void

/** Options with a value. */
const valued: Record<string, Take> = {
  vnl: (state, _what, value) => (state.net = value),
  fqdn: ({ settings }, what, value) => (settings.name = parseName(what, value)),
  mac: ({ settings }, what, value) => (settings.mac = parseMac(what, value)),
  macaddr: (state, what, value) => valued.mac(state, what, value),
  ip: ({ settings }, what, value) => settings.addresses.push(parseOwnAddress(what, value)),
  gw: ({ settings }, what, value) => settings.routes.push(defaultRoute(parseRouter(what, value))),
  dns: ({ settings }, what, value) => settings.dns.push(parseServer(what, value)),
  domain: ({ settings }, what, value) => settings.search.push(parseName(what, value)),
  // A stack of ours has one interface, and is one kind of stack: these choose among one.
  iface: () => {},
  ifindex: () => {},
  stack: () => {},
  '-ip': ({ settings }, what, value) => without(settings.addresses, parseOwnAddress(what, value)),
  '-gw': ({ settings }, what, value) => {
    const gateway = parseRouter(what, value)
    settings.routes = settings.routes.filter(route => route.gateway !== gateway)
  },
  '-dns': ({ settings }, what, value) => without(settings.dns, parseServer(what, value)),
  '-domain': ({ settings }, what, value) => without(settings.search, parseName(what, value)),
}

/** Options without one: what becomes of the state when they are said (true) or taken back (false). */
const flags: Record<string, (state: State, on: boolean) => void> = {
  eth: (state, on) => (state.eth = on),
  dhcp: ({ settings }, on) => (settings.dhcp = on),
  dhcp6: ({ settings }, on) => (settings.dhcp6 = on ? 'yes' : 'no'),
  rd: ({ settings }, on) => {
    settings.routers = on
    if (!on) settings.slaac = undefined
  },
  // Which identifier is decided at the end: the name may come later in the string.
  slaac: ({ settings }, on) => {
    settings.slaac = on ? 'eui64' : undefined
    if (on) settings.routers = true
  },
  auto4: (state, on) => all(state, on, 'eth', 'dhcp'),
  auto6: (state, on) => all(state, on, 'eth', 'rd', 'dhcp6'),
  auto: (state, on) => all(state, on, 'auto4', 'auto6'),
  debug: (state, on) => (state.verbose = on),
  static: ({ settings }, on) => {
    if (on) return
    settings.addresses = []
    settings.routes = []
    settings.dns = []
    settings.search = []
  },
  all: (state, on) => {
    if (!on) all(state, on, 'auto', 'static')
  },
}

const synonyms: Record<string, string> = {
  dhcp4: 'dhcp',
  dhcpv4: 'dhcp',
  dhcpv6: 'dhcp6',
  rd6: 'rd',
  autov4: 'auto4',
  autov6: 'auto6',
}
/** They only take back. */
const undoOnly = ['static', 'all']

const all = (state: State, on: boolean, ...names: string[]): void => {
  for (const name of names) flags[name](state, on)
}

/** Throws one sentence if the string is wrong. */
export function parseConfString(text: string): ConfString {
  const state: State = { settings: noSettings(), net: undefined, verbose: false, eth: false }
  for (const option of split(text)) take(state, option)
  const { settings, net, verbose } = state
  const { name } = settings
  if (settings.slaac !== undefined && name !== undefined) settings.slaac = 'hash'
  if (state.eth && name !== undefined) settings.mac ??= formatMac(hashMac(name))
  checkSettings(settings)
  return { settings, net, verbose }
}

function take(state: State, { name: written, value }: Option): void {
  const what = `--conf "${value === undefined ? written : `${written}=${value}`}"`
  const off = written.startsWith('-')
  const bare = off ? written.slice(1) : written
  const name = synonyms[bare] ?? bare
  if (Object.hasOwn(valued, written)) {
    if (!value) throw new UserError(`cannot use ${what}: ${written}= needs a value`)
    valued[written](state, what, value)
  } else if (Object.hasOwn(flags, name) && (off || !undoOnly.includes(name))) {
    if (value !== undefined) throw new UserError(`cannot use ${what}: ${written} takes no value`)
    flags[name](state, !off)
  } else throw new UserError(`cannot use ${what}: there is no such option (there are ${known()})`)
}

const known = () =>
  [
    ...Object.keys(flags).filter(name => !undoOnly.includes(name)),
    ...Object.keys(valued)
      .filter(name => !name.startsWith('-'))
      .map(name => `${name}=`),
  ].join(' ')

interface Option {
  name: string
  value: string | undefined
}

const QUOTES = '\'"'

function split(text: string): Option[] {
  const options: Option[] = []
  let word = ''
  let name: string | undefined
  let any = false
  const end = () => {
    if (any)
      options.push(name === undefined ? { name: word, value: undefined } : { name, value: word })
    word = ''
    name = undefined
    any = false
  }
  for (let i = 0; i < text.length; i++) {
    const c = text[i]
    if (/[\s,;]/.test(c)) end()
    else if (c === '#' && !any) {
      while (i + 1 < text.length && text[i + 1] !== '\n') i++
    } else if (c === '=' && name === undefined) {
      name = word
      word = ''
      any = true
    } else if (QUOTES.includes(c)) {
      const close = text.indexOf(c, i + 1)
      if (close < 0) throw new UserError(`cannot use --conf "${text}": a quote ${c} is not closed`)
      word += text.slice(i + 1, close)
      i = close
      any = true
    } else {
      if (c === '\\' && i + 1 < text.length) i++
      word += text[i]
      any = true
    }
  }
  end()
  return options
}

function without(list: string[], item: string): void {
  const at = list.indexOf(item)
  if (at >= 0) list.splice(at, 1)
}
