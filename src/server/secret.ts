// What is the user's alone, and stays: stable IPv6 identifiers come from it (RFC 7217).
import { randomBytes } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

import { UserError } from '../base/user-error.ts'

const LENGTH = 32

/** The user's secret, made when it is asked for first. Throws a UserError if it can neither be read nor made. */
export function userSecret(environment: NodeJS.ProcessEnv = process.env): Uint8Array {
  const state = environment.XDG_STATE_HOME || join(environment.HOME ?? homedir(), '.local/state')
  const path = join(state, 'ioth', 'secret')
  try {
    return read(path) ?? make(path)
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? (error as Error).message
    throw new UserError(`Cannot make stable addresses: no secret in "${path}": ${why}`)
  }
}

function read(path: string): Uint8Array | undefined {
  try {
    const secret = readFileSync(path)
    if (secret.length !== LENGTH) throw new Error(`it has ${secret.length} bytes, not ${LENGTH}`)
    return secret
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Two may do so at once: link() lets one of them win, and both read what that one wrote. */
function make(path: string): Uint8Array {
  mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 })
  const own = `${path}.${process.pid}`
  writeFileSync(own, randomBytes(LENGTH), { mode: 0o600 })
  try {
    linkSync(own, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    unlinkSync(own)
  }
  return readFileSync(path)
}
