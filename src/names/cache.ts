// What servers said, for as long as they said it may be remembered (RFC 1035 section 7.4), the bad news too (RFC 2308).
// Bounded: strangers choose neither how much is kept nor for how long.
import type { Found } from './message.ts'

const CAPACITY = 4096

interface Entry {
  readonly found: Found
  readonly until: number
}

export class Cache {
  /** The oldest first. */
  private readonly entries = new Map<string, Entry>()

  find(name: string, type: number, now: number): Found | undefined {
    const key = keyOf(name, type)
    const entry = this.entries.get(key)
    if (entry === undefined) return undefined
    if (entry.until > now) return entry.found
    this.entries.delete(key)
    return undefined
  }

  add(name: string, type: number, found: Found, now: number): void {
    if (found.ttl <= 0) return
    const key = keyOf(name, type)
    this.entries.delete(key)
    if (this.entries.size >= CAPACITY)
      for (const oldest of this.entries.keys()) {
        this.entries.delete(oldest)
        break
      }
    this.entries.set(key, { found, until: now + 1000 * found.ttl })
  }

  clear(): void {
    this.entries.clear()
  }
}

const keyOf = (name: string, type: number) => `${type} ${name.toLowerCase().replace(/\.$/, '')}`
