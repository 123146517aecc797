// A VNL ("virtual network locator", as in vdeplug4) names a plug:
//
//   scheme://address[option=value/option]{inner VNL}
//
// A plug that wraps another has it in braces: pcap:///tmp/x.pcap{fault://loss=1{switch://lab}}. A path with a slash in it is
// short for the switch in that directory. In an address `%XX` stands for a byte, so that %7B is a brace.
import { resolve } from 'node:path'

import { UserError } from '../base/user-error.ts'

export interface Vnl {
  /** As the user wrote it, for messages. */
  readonly text: string
  readonly scheme: string
  readonly address: string
  /** Name and value, in order; no value: the empty string. */
  readonly options: readonly (readonly [string, string])[]
  readonly inner: Vnl | undefined
}

const MAX_DEPTH = 8

/** Takes a VNL apart. Whether there is such a plug is another question (open.ts). Throws a UserError. */
export function parseVnl(text: string, depth = 0): Vnl {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/(.*)$/s.exec(text)
  if (scheme === null) {
    if (!text.includes('/'))
      refuse(text, 'neither a VNL nor a path (switch://NAME, or a directory with a slash)')
    return { text, scheme: 'switch', address: resolve(text), options: [], inner: undefined }
  }
  if (depth >= MAX_DEPTH) refuse(text, `more than ${MAX_DEPTH} plugs in each other`)
  const [, name, rest] = scheme
  const brace = rest.indexOf('{')
  if (brace >= 0) checkBraces(text, rest, brace)
  else if (rest.includes('}')) refuse(text, 'a "}" without its "{"')
  const outer = brace < 0 ? rest : rest.slice(0, brace)
  const [address, options] = splitOptions(outer)
  return {
    text,
    scheme: name.toLowerCase(),
    address: decode(address),
    options,
    inner: brace < 0 ? undefined : parseVnl(rest.slice(brace + 1, -1), depth + 1),
  }
}

/** The VNL with the paths in it made absolute: whoever opens it may have another working directory. */
export function absoluteVnl(text: string): string {
  return format(parseVnl(text))
}

/** The sentence for a VNL that cannot be opened. */
export function refuse(text: string, why: string): never {
  throw new UserError(`Cannot open plug "${text}": ${why}`)
}

/** The brace at `at` must be closed by the last character. */
function checkBraces(text: string, rest: string, at: number): void {
  let open = 0
  for (let i = at; i < rest.length; i++) {
    if (rest[i] === '{') open++
    if (rest[i] === '}' && --open === 0) {
      if (i !== rest.length - 1) refuse(text, `"${rest.slice(i + 1)}" behind the last "}"`)
      return
    }
  }
  refuse(text, 'a "{" without its "}"')
}

/** The bracket at the end, if there is one: `[port=3/group=x]`. */
function splitOptions(outer: string): [string, [string, string][]] {
  const match = /^(.*)\[([^[\]]*)\]$/s.exec(outer)
  if (match === null) return [outer, []]
  const options = match[2].split('/').filter(option => option !== '')
  return [match[1], options.map(splitOption)]
}

function splitOption(option: string): [string, string] {
  const equals = option.indexOf('=')
  return equals < 0 ? [option, ''] : [option.slice(0, equals), option.slice(equals + 1)]
}

/** A "%" that no two hexadecimal digits follow stands for itself. */
function decode(address: string): string {
  return address.replace(/(%[0-9A-Fa-f]{2})+/g, bytes =>
    Buffer.from(bytes.replaceAll('%', ''), 'hex').toString(),
  )
}

function format({ text, scheme, address, options, inner }: Vnl): string {
  if (!text.includes('://')) return address
  const path = scheme === 'pcap' && address !== '' ? resolve(address) : address
  const encoded = path.replace(/[%{}[\]]/g, c => encodeURIComponent(c))
  const bracket = options.map(([name, value]) => (value === '' ? name : `${name}=${value}`))
  return (
    `${scheme}://${encoded}` +
    (bracket.length > 0 ? `[${bracket.join('/')}]` : '') +
    (inner === undefined ? '' : `{${format(inner)}}`)
  )
}
