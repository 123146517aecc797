// --tcp: what is to be different from Linux's defaults for all connections of a stack, "cc=reno,rmem=1m,ecn=1". The names
// are those of net.ipv4.tcp_*, without "tcp_".
import { UserError } from '../base/user-error.ts'
import type { TcpTuning } from '../stack/stack.ts'

export type Tuning = Partial<TcpTuning>

interface Key {
  /** As the help shows it. */
  readonly form: string
  /** Undefined: the value cannot be. */
  read(text: string): Tuning | undefined
}

/** What congestion.ts has. */
export const CONGESTION_CONTROLS = ['cubic', 'reno']
/** A ring is no larger (shm/chunks.ts). */
const MAX_BUFFER = 8 << 20
const MIN_BUFFER = 4096

/** Field of TcpTuning that holds a number. */
type NumberField = {
  [K in keyof TcpTuning]: TcpTuning[K] extends number ? K : never
}[keyof TcpTuning]
type FlagField = {
  [K in keyof TcpTuning]: TcpTuning[K] extends boolean ? K : never
}[keyof TcpTuning]

const flag = (field: FlagField): Key => ({
  form: '0|1',
  read: text => (/^[01]$/.test(text) ? { [field]: text === '1' } : undefined),
})

const number = (field: NumberField, least: number, most: number, unit = ''): Key => ({
  form: `${least}..${most}${unit}`,
  read: text => {
    const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : -1
    return value >= least && value <= most ? { [field]: value } : undefined
  },
})

/** `MAX`, `DEFAULT:MAX` or `MIN:DEFAULT:MAX`, in bytes, or with k or m behind. */
const buffer = (min: NumberField, first: NumberField, most: NumberField): Key => ({
  form: '[[MIN:]FIRST:]MOST bytes (64k, 4m)',
  read: text => {
    const sizes = text.split(':').map(sizeOf)
    if (sizes.length > 3 || sizes.some((size, i) => !(size >= (sizes[i - 1] ?? MIN_BUFFER))))
      return undefined
    const [max, begin = Math.min(65_536, max), least = Math.min(8192, begin)] = sizes.reverse()
    return { [min]: least, [first]: begin, [most]: max }
  },
})

/** NaN: no size that a buffer can have. */
function sizeOf(text: string): number {
  const [, digits, unit] = /^([0-9]{1,9})([km]?)$/.exec(text) ?? []
  const size = Number(digits) * (unit === 'm' ? 1 << 20 : unit === 'k' ? 1024 : 1)
  return size <= MAX_BUFFER ? size : NaN
}

const keys: Record<string, Key> = {
  cc: {
    form: CONGESTION_CONTROLS.join('|'),
    read: text => (CONGESTION_CONTROLS.includes(text) ? { congestion: text } : undefined),
  },
  rmem: buffer('rmemMin', 'rmemDefault', 'rmemMax'),
  wmem: buffer('wmemMin', 'wmemDefault', 'wmemMax'),
  sack: flag('sack'),
  timestamps: flag('timestamps'),
  window_scaling: flag('windowScaling'),
  ecn: number('ecn', 0, 2),
  pacing: flag('pacing'),
  initcwnd: number('initCwnd', 1, 1000, ' segments'),
  slow_start_after_idle: flag('slowStartAfterIdle'),
  rto_min: number('rtoMin', 5, 60_000, ' ms'),
  delack: number('delayedAck', 1, 500, ' ms'),
  syn_retries: number('synRetries', 1, 127),
  synack_retries: number('synAckRetries', 0, 127),
  retries: number('retries', 1, 127),
  orphan_retries: number('orphanRetries', 1, 127),
  keepalive_time: number('keepAliveTime', 1, 32_767, ' s'),
  keepalive_intvl: number('keepAliveInterval', 1, 32_767, ' s'),
  keepalive_probes: number('keepAliveProbes', 1, 127),
  fin_timeout: number('finTimeout', 1, 120, ' s'),
  mtu_probing: number('mtuProbing', 0, 1),
  tw_reuse: number('twReuse', 0, 2),
  syncookies: number('synCookies', 0, 2),
  fastopen: number('fastOpen', 0, 1551, ' (bits)'),
  user_timeout: number('userTimeout', 0, 2_147_483_647, ' ms'),
}

/** All of it, for the help. */
export const tuningForms = (): string[] =>
  Object.entries(keys).map(([name, { form }]) => `${name}=${form}`)

/** `what` is the option as the user wrote it. Throws a UserError. */
export function parseTuning(what: string, text: string): Tuning {
  let tuning: Tuning = {}
  for (const word of text.split(',')) {
    const at = word.indexOf('=')
    const name = at < 0 ? word : word.slice(0, at)
    if (!Object.hasOwn(keys, name))
      throw new UserError(
        `cannot use ${what}: there is no "${name}" (there are ${Object.keys(keys).join(' ')})`,
      )
    const value = at < 0 ? undefined : keys[name].read(word.slice(at + 1))
    if (value === undefined)
      throw new UserError(`cannot use ${what}: write ${name}=${keys[name].form}`)
    tuning = { ...tuning, ...value }
  }
  return tuning
}
