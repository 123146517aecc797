// What ioth-run's process was given, byte for byte: the program is to have the same. Bytes are held in
// "latin1" strings, one character each, because arguments and environment need not be UTF-8.
import { readdirSync, readFileSync } from 'node:fs'

export interface Inherited {
  /** Soft RLIMIT_NOFILE: a number or "unlimited". */
  limit: string
  /** Signals blocked and ignored, in hexadecimal as /proc/PID/status has them. */
  blocked: string
  ignored: string
  /** Descriptors that were open. */
  fds: number[]
  environment: string[]
  /** The arguments after the script's name. */
  args: string[]
}

/** From IOTH_START, which start.sh left; without it (`node ioth-run.js`) what /proc still tells. */
export function inherited(): Inherited {
  const environ = entries('/proc/self/environ')
  const args = entries('/proc/self/cmdline')
  const found = environ.find(entry => entry.startsWith('IOTH_START='))
  return {
    ...(parseStart(found?.slice('IOTH_START='.length)) ?? guess()),
    environment: environmentOf(found, environ),
    args: args.slice(args.length - (process.argv.length - 2)),
  }
}

type Start = Omit<Inherited, 'environment' | 'args'>

/** "PID LIMIT BLK IGN FDS", if it is about this very process. */
function parseStart(text: string | undefined): Start | undefined {
  const line = text?.split('\n', 1)[0]
  const match = line?.match(/^(\d+) (\d+|unlimited) ([0-9a-f]+) ([0-9a-f]+) ([\d,]*)$/)
  if (!match || Number(match[1]) !== process.pid) return
  const [, , limit, blocked, ignored, fds] = match as unknown as string[]
  return {
    limit: limit!,
    blocked: blocked!,
    ignored: ignored!,
    fds: fds!.split(',').filter(Boolean).map(Number),
  }
}

/** Started as `node ioth-run.js`: the limit is the parent's, and what signals did is forgotten. */
function guess(): Start {
  const blocked = /^SigBlk:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'latin1'))
  return {
    limit: softLimit(`/proc/${process.ppid}/limits`) ?? softLimit('/proc/self/limits') ?? '1024',
    blocked: blocked?.[1] ?? '0',
    ignored: '0',
    fds: [0, 1, 2, ...staysOpen()],
  }
}

function softLimit(path: string): string | undefined {
  try {
    return /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync(path, 'latin1'))?.[1]
  } catch {
    return // another user's parent (sudo): /proc does not tell
  }
}

/** Descriptors from 3 on that are not close-on-exec. Node's own all are, and so are the first it was given. */
export function staysOpen(): number[] {
  const O_CLOEXEC = 0o2000000
  return readdirSync('/proc/self/fdinfo')
    .map(Number)
    .filter(fd => fd > 2 && (fdFlags(fd) & O_CLOEXEC) === 0)
}

function fdFlags(fd: number): number {
  try {
    const text = readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1')
    return parseInt(/^flags:\s*([0-7]+)/m.exec(text)?.[1] ?? '0', 8)
  } catch {
    return -1 // closed since: the directory's own descriptor
  }
}

/** The environment before the shell touched it, if start.sh could note it; else as Node has it. */
function environmentOf(start: string | undefined, environ: string[]): string[] {
  const newline = start?.indexOf('\n') ?? -1
  if (start === undefined || newline < 0) return environ.filter(entry => entry !== start)
  const noted = start.slice(newline + 1)
  return noted === '' ? [] : noted.split('\n').map(entry => entry.replaceAll('\x01', '\n'))
}

/** A file of NUL-terminated strings. */
function entries(path: string): string[] {
  const text = readFileSync(path, 'latin1')
  return text === '' ? [] : text.replace(/\0$/, '').split('\0')
}
