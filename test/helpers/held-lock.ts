// Locks in a stack's shared memory, taken in the name of somebody who will not drop them.
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'

import { ABI_RECORDS_OFFSET, RECORD_SIZE } from '../../src/shm/layout.ts'

/** Writes `word` into the locks (RECORD.wlock, rlock) of a program's first records. */
export function holdLocks(pid: number, word: number, locks: readonly number[]): void {
  const [, start] = /^([0-9a-f]+)-.*memfd:ioth/m.exec(readFileSync(`/proc/${pid}/maps`, 'latin1'))!
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(word >>> 0)
  const memory = openSync(`/proc/${pid}/mem`, 'r+')
  for (const record of [0, 1, 2])
    for (const lock of locks) {
      const at = ABI_RECORDS_OFFSET + record * RECORD_SIZE + lock
      writeSync(memory, bytes, 0, 4, parseInt(start!, 16) + at)
    }
  closeSync(memory)
}
