// What kind of program a file is, read as execve(2) reads it (elf(5)).
import { closeSync, openSync, readSync } from 'node:fs'

/** BINPRM_BUF_SIZE: what Linux reads of a "#!" line. */
const SCRIPT_LINE = 256
const ELF_HEADER = 64
const ELFCLASS64 = 2
const PT_INTERP = 3
const PROGRAM_HEADER = 56
const SECTION_HEADER = 64
/** More of either is no program of a compiler's. */
const MOST_HEADERS = 1000
const MOST_NAMES = 1 << 20

/** e_machine of what Node.js names process.arch. */
const MACHINES: Record<string, number> = { x64: 62, arm64: 183, riscv64: 243, ppc64: 21, s390x: 22 }
const NAMES: Record<number, string> = {
  3: 'x86',
  40: 'arm',
  62: 'x86-64',
  183: 'arm64',
  243: 'riscv',
}

export type Image =
  | { readonly kind: 'script'; readonly interpreter: string }
  /** For another processor, or of 32 bits. */
  | { readonly kind: 'foreign'; readonly machine: string }
  /** `loader` undefined: none, the program is static. */
  | { readonly kind: 'program'; readonly loader: string | undefined; readonly isGo: boolean }
  | { readonly kind: 'unknown' }

/** Throws what open(2) says. */
export function readImage(file: string): Image {
  const fd = openSync(file, 'r')
  try {
    const bytes = (at: number, n: number): Buffer => {
      const buffer = Buffer.alloc(n)
      return buffer.subarray(0, readSync(fd, buffer, 0, n, at))
    }
    return imageOf(bytes)
  } finally {
    closeSync(fd)
  }
}

type Reader = (at: number, n: number) => Buffer

function imageOf(bytes: Reader): Image {
  const head = bytes(0, SCRIPT_LINE)
  if (head.toString('latin1', 0, 2) === '#!') {
    const interpreter = /^#![ \t]*([^ \t\n\0]+)/.exec(head.toString('latin1'))?.[1]
    return interpreter === undefined ? { kind: 'unknown' } : { kind: 'script', interpreter }
  }
  if (head.length < ELF_HEADER || head.toString('latin1', 0, 4) !== '\x7fELF')
    return { kind: 'unknown' }
  const machine = head.readUInt16LE(18)
  if (head[4] !== ELFCLASS64 || machine !== MACHINES[process.arch]) {
    const name = NAMES[machine] ?? `number ${machine}`
    return { kind: 'foreign', machine: head[4] === ELFCLASS64 ? name : `${name}, 32 bits` }
  }
  return {
    kind: 'program',
    loader: loaderOf(head, bytes),
    isGo: hasSection(head, bytes, '.go.buildinfo'),
  }
}

const offset = (buffer: Buffer, at: number): number => Number(buffer.readBigUInt64LE(at))

function loaderOf(head: Buffer, bytes: Reader): string | undefined {
  const count = Math.min(head.readUInt16LE(56), MOST_HEADERS)
  const table = bytes(offset(head, 32), count * PROGRAM_HEADER)
  for (let at = 0; at + PROGRAM_HEADER <= table.length; at += PROGRAM_HEADER) {
    if (table.readUInt32LE(at) !== PT_INTERP) continue
    const length = Math.min(offset(table, at + 32), 4096)
    return bytes(offset(table, at + 8), length)
      .toString('latin1')
      .replace(/\0.*/s, '')
  }
  return undefined
}

function hasSection(head: Buffer, bytes: Reader, name: string): boolean {
  const count = Math.min(head.readUInt16LE(60), MOST_HEADERS)
  const table = bytes(offset(head, 40), count * SECTION_HEADER)
  const strings = head.readUInt16LE(62) * SECTION_HEADER
  if (strings + SECTION_HEADER > table.length) return false
  const size = Math.min(offset(table, strings + 32), MOST_NAMES)
  const names = bytes(offset(table, strings + 24), size).toString('latin1')
  return names.split('\0').includes(name)
}
