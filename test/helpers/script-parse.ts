// From the text of a topic file to the steps of its scripts. The language is told in script.ts.
import { type Segment, parseSegment } from './script-segment.ts'

/** Seconds; from the step before, or from the beginning. */
export interface Bound {
  readonly relative: boolean
  readonly ms: number
}

export type What =
  | { readonly op: 'in'; readonly segment: Segment }
  | { readonly op: 'out'; readonly segment: Segment }
  | { readonly op: 'icmp'; readonly kind: string; readonly mtu: number; readonly seq: number }
  | { readonly op: 'call'; readonly name: string; readonly args: string[]; readonly result: string }
  | { readonly op: 'check'; readonly args: string[] }

export interface Step {
  readonly line: number
  readonly source: string
  /** What it does: the source without its time, or a part of it. */
  readonly text: string
  readonly from: Bound
  readonly to: Bound
  /** Which peer, and so which connection. */
  readonly peer: number
  readonly what: What
}

export interface Script {
  readonly file: string
  readonly line: number
  readonly title: string
  readonly families: readonly (4 | 6)[]
  readonly settings: ReadonlyMap<string, string>
  readonly steps: readonly Step[]
}

const TIME = /^(\+?)(\d+(?:\.\d+)?)(?:~(\+?)(\d+(?:\.\d+)?))?(?: +|$)/
const NOW: Bound = { relative: true, ms: 0 }

export function parseScripts(file: string, text: string): Script[] {
  const scripts: {
    file: string
    line: number
    title: string
    families: readonly (4 | 6)[]
    settings: Map<string, string>
    steps: Step[]
  }[] = []
  for (const [i, raw] of text.split('\n').entries()) {
    const source = raw.replace(/(^|\s)\/\/.*$/, '').trim()
    if (source === '') continue
    const line = i + 1
    try {
      if (source.startsWith('==')) {
        const title = source.slice(2).trim()
        if (scripts.some(s => s.title === title)) throw new Error('another script has this title')
        scripts.push({ file, line, title, families: [4, 6], settings: new Map(), steps: [] })
        continue
      }
      const script = scripts.at(-1)
      if (!script) throw new Error('no script has begun')
      const set = /^set (\w+) (.*)$/.exec(source)
      if (set?.[1] === 'family') script.families = [Number(set[2]) === 6 ? 6 : 4]
      else if (set) script.settings.set(set[1], set[2])
      else script.steps.push(...parseLine(line, source))
    } catch (error) {
      throw new Error(`${file}:${line}: ${source}: ${(error as Error).message}`, { cause: error })
    }
  }
  return scripts
}

function parseLine(line: number, source: string): Step[] {
  let rest = source
  let from = NOW
  let to = NOW
  const time = TIME.exec(rest)
  if (time) {
    rest = rest.slice(time[0].length)
    from = { relative: time[1] === '+', ms: seconds(time[2]) }
    to = time[4] === undefined ? from : { relative: time[3] === '+', ms: seconds(time[4]) }
  }
  const who = /^(\d+): */.exec(rest)
  if (who) rest = rest.slice(who[0].length)
  const peer = who ? Number(who[1]) : 1
  const step = (text: string, at = from, until = to): Step => ({
    line,
    source,
    text,
    from: at,
    to: until,
    peer,
    what: parseWhat(text),
  })
  const opening = /^(established|connected)\b *(.*)$/.exec(rest)
  if (!opening) return [step(rest)]
  return handshake(opening[1] === 'connected', opening[2]).map(([ms, text], i) => {
    const after = { relative: true, ms }
    return i === 0 ? step(text) : step(text, after, after)
  })
}

/** Whole microseconds, so that 0.3 s are 300 ms. */
const seconds = (text: string): number => Math.round(Number(text) * 1e6) / 1000

function parseWhat(text: string): What {
  if (text.startsWith('< icmp ')) return parseIcmp(text.slice(7))
  if (text.startsWith('< ')) return { op: 'in', segment: parseSegment(text.slice(2).trim()) }
  if (text.startsWith('> ')) return { op: 'out', segment: parseSegment(text.slice(2).trim()) }
  if (text.startsWith('= ')) return { op: 'check', args: text.slice(2).trim().split(/ +/) }
  const m = /^(\w+)((?: +(?:"[^"]*"|[^ ="][^ ]*))*)(?: += +(\S+))?$/.exec(text)
  if (!m) throw new Error('no step')
  const args = [...m[2].matchAll(/"[^"]*"|[^ ]+/g)].map(a => a[0])
  return { op: 'call', name: m[1], args, result: m[3] ?? '0' }
}

function parseIcmp(text: string): What {
  const m = /^(\w+)(?: mtu (\d+))?(?: seq (-?\d+))?$/.exec(text)
  if (!m) throw new Error('no ICMP message')
  return { op: 'icmp', kind: m[1], mtu: Number(m[2] ?? 0), seq: Number(m[3] ?? 1) }
}

/** `established [rtt 0.1] [win 65535] [<options>]`, or connected: the steps of a whole handshake. */
function handshake(active: boolean, text: string): [number, string][] {
  const m = /^(?:rtt (\S+) *)?(?:win (\d+) *)?(?:<([^>]*)>)?$/.exec(text)
  if (!m) throw new Error('no handshake')
  const rtt = m[1] === undefined ? 0 : seconds(m[1])
  const win = `win ${m[2] ?? 65535}`
  const options = m[3] ?? 'mss 1460'
  const stamp = /TS val (\d+)/.exec(options)
  const later = stamp ? ` <nop,nop,TS val ${Number(stamp[1]) + rtt} ecr last>` : ''
  if (active)
    return [
      [0, 'connect'],
      [0, '> S 0:0(0) <...>'],
      [rtt, `< S. 0:0(0) ack 1 ${win} <${options.replace(/ecr 0/, 'ecr last')}>`],
      [0, '> . 1:1(0) ack 1 <...>'],
    ]
  return [
    [0, 'listen once'],
    [0, `< S 0:0(0) ${win} <${options}>`],
    [0, '> S. 0:0(0) ack 1 <...>'],
    [rtt, `< . 1:1(0) ack 1 ${win}${later}`],
    [0, 'accept'],
  ]
}
