// What may be wrong with a link: the words of fault://WORDS{VNL}, with commas or slashes between them.
//
//   delay=20       ms. 100+50 or 100+50U: uniform between 50 and 150; 100+50N: normal, three deviations in 50
//   loss=1         % of the frames          lostburst=3    in bursts of three frames in the mean (Gilbert)
//   dup=1          % come twice             reorder=25     % do not wait for the delay
//   nofifo         whoever has less delay may overtake
//   corrupt=0.1    % have one bit turned over              damage=8       bits of a megabyte (2^20 bytes)
//   rate=100mbit   of the link, as in tc(8): bits/s with k, m, g or t, thousands of each other; bps is bytes/s
//   queue=64k      bytes that wait for the link; more are lost. 50 ms of the rate, at least 64k, unless given
//   speed=1gbit    the sender's interface: it has to wait, and loses nothing
//   mtu=1400       larger packets are lost
//   seed=7         the same frames at the same times meet the same fate
//
// Wirefilter's letters mean what they mean there: d l L D n N, and in its units: b s (bytes/s, K, M, G powers of 1024),
// c (bytes), m (bytes of a whole frame). A word is for both directions; `out.` before its name, or LR before its value: for
// what goes into the inner plug; `in.` or RL: for what comes from there.
import { randomBytes } from 'node:crypto'

import { ETHER_HEADER_LEN } from '../wire/ethernet.ts'
import { refuse, type Vnl } from './vnl.ts'

/** One direction. Probabilities are 0 to 1, rates are bits per ms. */
export interface FaultDirection {
  readonly delay: number
  readonly jitter: number
  readonly normal: boolean
  readonly loss: number
  /** Frames of a burst, in the mean; 0: losses know nothing of each other. */
  readonly lostburst: number
  readonly dup: number
  readonly reorder: number
  readonly fifo: boolean
  readonly corrupt: number
  /** For each bit. */
  readonly damage: number
  readonly rate: number
  readonly queue: number
  readonly speed: number
  readonly mtu: number
}

export interface FaultParameters {
  readonly in: FaultDirection
  readonly out: FaultDirection
  readonly seed: number
}

type Draft = { -readonly [K in keyof FaultDirection]: FaultDirection[K] }

export const NO_FAULT: FaultDirection = {
  delay: 0,
  jitter: 0,
  normal: false,
  loss: 0,
  lostburst: 0,
  dup: 0,
  reorder: 0,
  fifo: true,
  corrupt: 0,
  damage: 0,
  rate: Infinity,
  queue: 0,
  speed: Infinity,
  mtu: Infinity,
}

const LETTERS: Record<string, string> = {
  d: 'delay',
  l: 'loss',
  L: 'lostburst',
  D: 'dup',
  n: 'damage',
  N: 'nofifo',
  c: 'queue',
}
const BITS_PER_MEGABYTE = 8 * 2 ** 20
const MIN_QUEUE = 65_536
const QUEUE_MS = 50

/** How a word changes a direction. Undefined: the value is no good. */
const words: Record<string, (value: string) => Partial<Draft> | undefined> = {
  delay: value => {
    const match = /^(\d+(?:\.\d+)?)(?:\+(\d+(?:\.\d+)?)([UN]?))?$/.exec(value)
    if (match === null) return
    return { delay: +match[1], jitter: +(match[2] ?? 0), normal: match[3] === 'N' }
  },
  loss: value => percent(value, loss => ({ loss })),
  lostburst: value => number(value, n => (n >= 1 ? { lostburst: n } : undefined)),
  dup: value => percent(value, dup => ({ dup })),
  reorder: value => percent(value, reorder => ({ reorder })),
  nofifo: value => (value === '' ? { fifo: false } : undefined),
  corrupt: value => percent(value, corrupt => ({ corrupt })),
  damage: value =>
    number(value, n => (n <= BITS_PER_MEGABYTE ? { damage: n / BITS_PER_MEGABYTE } : undefined)),
  rate: value => bitRate(value, rate => ({ rate })),
  speed: value => bitRate(value, speed => ({ speed })),
  b: value => binary(value, n => (n > 0 ? { rate: (8 * n) / 1000 } : undefined)),
  s: value => binary(value, n => (n > 0 ? { speed: (8 * n) / 1000 } : undefined)),
  queue: value => binary(value, queue => ({ queue })),
  mtu: value => number(value, mtu => (mtu >= 1 ? { mtu } : undefined)),
  m: value =>
    number(value, n => (n > ETHER_HEADER_LEN ? { mtu: n - ETHER_HEADER_LEN } : undefined)),
}

const examples: Record<string, string> = {
  delay: 'delay=20, delay=100+50, delay=100+50N',
  lostburst: 'lostburst=3',
  nofifo: 'nofifo has no value',
  damage: 'damage=8',
  rate: 'rate=100mbit',
  speed: 'speed=1gbit',
  b: 'b=125K',
  s: 's=125K',
  queue: 'queue=64k',
  mtu: 'mtu=1400',
  m: 'm=1414',
}

/** Throws a UserError that names the word that is wrong. */
export function faultParameters(vnl: Vnl): FaultParameters {
  const given = { in: { ...NO_FAULT }, out: { ...NO_FAULT } }
  const queues = new Set<Draft>()
  let seed: number | undefined
  const list = vnl.address.split(/[,/]/).filter(word => word !== '')
  for (const [name, value] of [...list.map(split), ...vnl.options]) {
    const word = take(vnl, name, value)
    if (word.name === 'seed') seed = seedOf(vnl, value)
    else
      for (const side of word.sides) {
        Object.assign(given[side], word.change)
        if (word.change.queue !== undefined) queues.add(given[side])
      }
  }
  for (const side of ['in', 'out'] as const) {
    const draft = given[side]
    if (!queues.has(draft)) draft.queue = Math.max(MIN_QUEUE, (draft.rate * QUEUE_MS) / 8)
    checkBursts(vnl, draft)
  }
  return { ...given, seed: seed ?? randomBytes(4).readUInt32LE(0) }
}

interface Word {
  name: string
  sides: ('in' | 'out')[]
  change: Partial<Draft>
}

function take(vnl: Vnl, written: string, value: string): Word {
  const prefix = /^(in|out)\.(.*)$/.exec(written)
  const direction = /^(LR|RL)(.*)$/.exec(value)
  const short = prefix === null ? written : prefix[2]
  const name = LETTERS[short] ?? short
  if (name === 'seed' && prefix === null) return { name, sides: [], change: {} }
  if (!Object.hasOwn(words, name))
    refuse(
      vnl.text,
      `no such fault "${written}" (${[...Object.keys(words).filter(w => w.length > 1), 'seed'].join(' ')})`,
    )
  const change = words[name](direction === null ? value : direction[2])
  if (change === undefined || (prefix !== null && direction !== null))
    refuse(
      vnl.text,
      `"${value === '' ? written : `${written}=${value}`}" makes no sense (${examples[name] ?? `${name}=1 is one percent`})`,
    )
  const side = prefix?.[1] ?? (direction === null ? '' : direction[1] === 'LR' ? 'out' : 'in')
  return { name, sides: side === '' ? ['in', 'out'] : [side as 'in' | 'out'], change }
}

function seedOf(vnl: Vnl, value: string): number {
  if (!/^\d{1,15}$/.test(value)) refuse(vnl.text, `"seed=${value}" makes no sense (seed=7)`)
  return Number(value)
}

/** Between two bursts there is at least one frame that is not lost, so long bursts are all that gives much loss. */
function checkBursts(vnl: Vnl, { loss, lostburst }: FaultDirection): void {
  if (lostburst === 0 || loss === 0 || loss === 1) return
  // Decimals have no exact binary fractions: 80 % allow bursts of 4.
  const least = loss / (1 - loss) - 1e-9
  if (lostburst < least)
    refuse(
      vnl.text,
      `${100 * loss} % of loss needs bursts of ${Math.ceil(least)} frames or more (lostburst=${Math.ceil(least)})`,
    )
}

function split(word: string): [string, string] {
  const equals = word.indexOf('=')
  return equals < 0 ? [word, ''] : [word.slice(0, equals), word.slice(equals + 1)]
}

type Change = Partial<Draft> | undefined

function number(value: string, use: (n: number) => Change): Change {
  return /^\d+(\.\d+)?$/.test(value) ? use(Number(value)) : undefined
}

function percent(value: string, use: (p: number) => Change): Change {
  return number(value.replace(/%$/, ''), n => (n <= 100 ? use(n / 100) : undefined))
}

function bitRate(value: string, use: (bitsPerMs: number) => Change): Change {
  const match = /^(\d+(?:\.\d+)?)([kmgt]?)(bit|bps)?$/i.exec(value)
  if (match === null || Number(match[1]) === 0) return
  const bits = Number(match[1]) * 1000 ** ' kmgt'.indexOf(match[2].toLowerCase() || ' ')
  return use((match[3]?.toLowerCase() === 'bps' ? 8 * bits : bits) / 1000)
}

function binary(value: string, use: (n: number) => Change): Change {
  const match = /^(\d+(?:\.\d+)?)([kmg]?)$/i.exec(value)
  if (match === null) return
  return use(Number(match[1]) * 1024 ** ' kmg'.indexOf(match[2].toLowerCase() || ' '))
}
