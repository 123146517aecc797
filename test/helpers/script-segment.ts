// A segment as a script writes it, `P. 1:101(100) ack 1 win 512 <nop,nop,TS val 5 ecr 7>`, and as bytes. Numbers in the
// text are relative: sequence numbers to the ISN of their side, our timestamps to the script's clock.
import { i32, u16, u32, writeU16, writeU32 } from '../../src/base/bytes.ts'
import { TCP_HEADER_LENGTH } from '../../src/wire/tcp.ts'

/** FIN, SYN, RST, PSH, ACK, URG, ECE, CWR: the bits of the header, in its order. */
const LETTERS = 'FSRP.UEW'

export interface Segment {
  flags: number
  seq: number
  length: number
  ack: number | undefined
  /** As in the header; undefined: not said. */
  win: number | undefined
  urg: number | undefined
  /** 'mss 1460', 'sackOK', 'TS val 1 ecr 2', …; undefined: `<...>`, any. */
  options: readonly string[] | undefined
  text: Uint8Array | undefined
  /** 'ect0', 'ect1', 'ce', 'noecn'; undefined: not said. */
  ecn: string | undefined
}

/** What relative numbers count from. */
export interface Origin {
  /** ISN of the side that sends, and of the side that it acknowledges. */
  readonly from: number
  readonly to: number
  /** Added to TSval (of ours) or TSecr (in the peer's). */
  readonly tsVal: number
  readonly tsEcr: number
  /** For `ecr last` and `FO last`. */
  readonly lastTsVal: number
  readonly lastCookie: string
}

/** The ECN field, by value. */
export const ECN = ['noecn', 'ect1', 'ect0', 'ce']

const FORM =
  /^(?:\[(\w+)\] +)?([FSRPUEW.]+|-) +(-?\d+):(-?\d+)\((\d+)\)(?: +ack +(-?\d+))?(?: +win +(\d+|\*))?(?: +urg +(\d+))?(?: +<([^>]*)>)?(?: +"([^"]*)")?$/

export function parseSegment(text: string): Segment {
  const m = FORM.exec(text)
  if (!m) throw new Error(`no segment: ${text}`)
  const [, ecn, letters, seq, end, length, ack, win, urg, options, body] = m
  if (Number(end) - Number(seq) !== Number(length))
    throw new Error(`${seq}:${end} is not ${length} long`)
  if (ecn !== undefined && !ECN.includes(ecn)) throw new Error(`no ECN codepoint: ${ecn}`)
  if (body !== undefined && body.length !== Number(length))
    throw new Error(`"${body}" is ${body.length} long`)
  return {
    flags: letters === '-' ? 0 : flagBits(letters),
    seq: Number(seq),
    length: Number(length),
    ack: ack === undefined ? undefined : Number(ack),
    win: win === undefined || win === '*' ? undefined : Number(win),
    urg: urg === undefined ? undefined : Number(urg),
    options: options === '...' ? undefined : optionList(options ?? ''),
    text: body === undefined ? undefined : Buffer.from(body, 'latin1'),
    ecn,
  }
}

function flagBits(letters: string): number {
  let bits = 0
  for (const letter of letters) bits |= 1 << LETTERS.indexOf(letter)
  return bits
}

const optionList = (text: string): string[] =>
  text
    .split(',')
    .map(o => o.trim())
    .filter(o => o !== '')

export function formatSegment(s: Segment): string {
  const letters = LETTERS.split('')
    .filter((_, i) => (s.flags >> i) & 1)
    .join('')
  const parts = [
    ...(s.ecn === undefined || s.ecn === 'noecn' ? [] : [`[${s.ecn}]`]),
    letters || '-',
    `${s.seq}:${s.seq + s.length}(${s.length})`,
    ...(s.ack === undefined ? [] : [`ack ${s.ack}`]),
    ...(s.win === undefined ? [] : [`win ${s.win}`]),
    ...(s.urg === undefined ? [] : [`urg ${s.urg}`]),
    ...(s.options === undefined || s.options.length === 0 ? [] : [`<${s.options.join(',')}>`]),
  ]
  return parts.join(' ')
}

/** The bytes of a peer's segment; `fill(offset)` gives its text where the script says none. */
export function encode(
  s: Segment,
  o: Origin,
  ports: { readonly src: number; readonly dst: number },
  defaultWin: number,
  fill: (offset: number) => number,
): Uint8Array {
  const options = (s.options ?? []).flatMap(option => optionBytes(option, o))
  while (options.length % 4 !== 0) options.push(1)
  const header = TCP_HEADER_LENGTH + options.length
  const b = new Uint8Array(header + s.length)
  writeU16(b, 0, ports.src)
  writeU16(b, 2, ports.dst)
  writeU32(b, 4, s.seq + o.from)
  writeU32(b, 8, s.ack === undefined ? 0 : s.ack + o.to)
  b[12] = header << 2
  b[13] = s.flags
  writeU16(b, 14, s.win ?? defaultWin)
  writeU16(b, 18, s.urg ?? 0)
  b.set(options, TCP_HEADER_LENGTH)
  const first = textOffset(s)
  for (let i = 0; i < s.length; i++) b[header + i] = s.text ? s.text[i] : fill(first + i)
  return b
}

/** Where the text of a segment lies in the stream. */
export const textOffset = (s: Segment): number => ((s.flags & 2) !== 0 ? s.seq : s.seq - 1)

const word = (n: number): number[] => [(n >>> 24) & 255, (n >>> 16) & 255, (n >>> 8) & 255, n & 255]

function optionBytes(option: string, o: Origin): number[] {
  const [name, ...args] = option.split(' ')
  switch (name) {
    case 'nop':
      return [1]
    case 'eol':
      return [0]
    case 'mss':
      return [2, 4, Number(args[0]) >> 8, Number(args[0]) & 255]
    case 'wscale':
      return [3, 3, Number(args[0])]
    case 'sackOK':
      return [4, 2]
    case 'TS': {
      const ecr = args[3] === 'last' ? o.lastTsVal : Number(args[3]) + o.tsEcr
      return [8, 10, ...word(Number(args[1]) + o.tsVal), ...word(ecr)]
    }
    case 'sack':
      return [
        5,
        2 + 8 * args.length,
        ...args.flatMap(block => block.split(':').flatMap(n => word(Number(n) + o.to))),
      ]
    case 'FO': {
      const cookie = hex(args[0] === 'last' ? o.lastCookie : (args[0] ?? ''))
      return [34, 2 + cookie.length, ...cookie]
    }
    case 'raw':
      return hex(args[0])
    default:
      throw new Error(`no option: ${option}`)
  }
}

const hex = (text: string): number[] => [...Buffer.from(text, 'hex')]

/** A segment that we sent. `isn` 0 and not known yet: numbers as they are. */
export function decode(b: Uint8Array, o: Origin, ecn: number): Segment {
  const header = (b[12] >> 4) * 4
  const flags = b[13]
  // The answer to a segment without ACK that belongs nowhere has the number 0, whatever anybody's ISN.
  const zero = (flags & 0x14) === 0x14 && u32(b, 4) === 0
  return {
    flags,
    seq: zero ? 0 : (u32(b, 4) - o.from) | 0,
    length: b.length - header,
    ack: (flags & 0x10) === 0 ? undefined : (u32(b, 8) - o.to) | 0,
    win: u16(b, 14),
    urg: (flags & 0x20) === 0 ? undefined : u16(b, 18),
    options: decodeOptions(b, TCP_HEADER_LENGTH, header, o),
    text: b.slice(header),
    ecn: ECN[ecn],
  }
}

function decodeOptions(b: Uint8Array, at: number, end: number, o: Origin): string[] {
  const list: string[] = []
  while (at < end) {
    if (b[at] < 2) {
      list.push(b[at++] === 1 ? 'nop' : 'eol')
      continue
    }
    const length = b[at + 1]
    if (length < 2 || at + length > end) return [...list, 'broken']
    list.push(decodeOption(b, at, length, o))
    at += length
  }
  return list
}

function decodeOption(b: Uint8Array, at: number, length: number, o: Origin): string {
  const relative = (i: number) => (u32(b, i) - o.to) | 0
  switch (b[at]) {
    case 2:
      return `mss ${u16(b, at + 2)}`
    case 3:
      return `wscale ${b[at + 2]}`
    case 4:
      return 'sackOK'
    case 5: {
      const blocks = []
      for (let i = at + 2; i < at + length; i += 8) blocks.push(`${relative(i)}:${relative(i + 4)}`)
      return `sack ${blocks.join(' ')}`
    }
    case 8:
      return `TS val ${(i32(b, at + 2) - o.tsVal) | 0} ecr ${u32(b, at + 6)}`
    case 34:
      return length === 2
        ? 'FO'
        : `FO ${Buffer.from(b.subarray(at + 2, at + length)).toString('hex')}`
    default:
      return `raw ${Buffer.from(b.subarray(at, at + length)).toString('hex')}`
  }
}

/** In what `came` is not what `wanted` says; nothing that `wanted` leaves open counts. */
export function differences(wanted: Segment, came: Segment): string[] {
  const wrong: string[] = []
  const check = (what: string, w: unknown, c: unknown) => {
    if (w !== undefined && w !== c) wrong.push(`${what} is ${c}, not ${w}`)
  }
  const letters = (s: Segment) =>
    formatSegment(s)
      .replace(/^\[\w+\] /, '')
      .split(' ')[0]
  check('flags', letters(wanted), letters(came))
  check('seq', wanted.seq, came.seq)
  check('length', wanted.length, came.length)
  check('ack', wanted.ack, came.ack)
  if (wanted.ack === undefined && came.ack !== undefined)
    wrong.push(`ack ${came.ack} is not expected`)
  check('win', wanted.win, came.win)
  check('urg', wanted.urg, came.urg)
  check('ECN', wanted.ecn, came.ecn)
  if (wanted.options) {
    const bare = (list: readonly string[]) => list.filter(o => o !== 'nop')
    const w = bare(wanted.options)
    const c = bare(came.options ?? [])
    const same = w.length === c.length && w.every((o, i) => matches(o, c[i]))
    if (!same) wrong.push(`options are <${c.join(',')}>, not <${w.join(',')}>`)
  }
  return wrong
}

/** `TS val * ecr 5`: each word, or any. */
function matches(wanted: string, came: string): boolean {
  const w = wanted.split(' ')
  const c = came.split(' ')
  return w.length === c.length && w.every((x, i) => x === '*' || x === c[i])
}
