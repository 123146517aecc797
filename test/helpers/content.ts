// Files to send: bytes that look random and are the same each time.
import { createCipheriv, createHash } from 'node:crypto'
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Test } from 'tap'

const PIECE = 1 << 20

/** A directory for what arrives; it goes with the test. */
export function scratch(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'ioth-client-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** Writes `size` bytes to `path`. Their SHA-256. */
export function makeFile(path: string, size: number): string {
  const stream = createCipheriv('aes-128-ctr', Buffer.alloc(16, size & 0xff), Buffer.alloc(16))
  const hash = createHash('sha256')
  const zeros = Buffer.alloc(PIECE)
  const fd = openSync(path, 'w')
  for (let at = 0; at < size; at += PIECE) {
    const piece = stream.update(zeros.subarray(0, Math.min(PIECE, size - at)))
    hash.update(piece)
    writeSync(fd, piece)
  }
  closeSync(fd)
  return hash.digest('hex')
}

export function sha256(path: string): string {
  const hash = createHash('sha256')
  const piece = Buffer.alloc(PIECE)
  const fd = openSync(path, 'r')
  for (let n; (n = readSync(fd, piece)) > 0;) hash.update(piece.subarray(0, n))
  closeSync(fd)
  return hash.digest('hex')
}
