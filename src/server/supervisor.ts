// The listener of the program's seccomp filter (preload/filter.h). It tells that the last task under the filter has
// ended, and that a call waits which the shim has not made: then the supervisor is started, which serves it and those
// that come after it (supervisor/main.c). It is not there for programs that need none, and a dead one is replaced.
import { spawn } from 'node:child_process'

import { inRoot } from '../base/root.ts'
import * as libc from '../ffi/libc.ts'

const MFD_CLOEXEC = 1
/** Of the calls under way (MOST_CALLS of supervisor/main.c), with room to spare; what is not touched costs nothing. */
const MEMORY_BYTES = 16 << 20
const PROGRAM = inRoot('build/ioth-supervisor')
/** It failed at once, again and again: no faster than this. */
const AGAIN_MS = 1000

export interface SupervisorOptions {
  readonly listener: number
  readonly stack: string
  readonly dir: string
  /** As the environment has it: hexadecimal. */
  readonly token: string
  /** Watches the listener for these events, and for its end always. */
  watch(events: number): void
}

export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #memory = libc.memfdCreate('calls', MFD_CLOEXEC)
  #startedAt = -Infinity

  constructor(options: SupervisorOptions) {
    this.#options = options
    libc.ftruncate(this.#memory, MEMORY_BYTES)
    options.watch(libc.EPOLLIN)
  }

  /** A call waits. */
  start(): void {
    const { listener, stack, dir, token, watch } = this.#options
    // Who is stopped in a call stays so until somebody serves it.
    watch(0)
    this.#startedAt = performance.now()
    const child = spawn(PROGRAM, ['3', '4'], {
      cwd: '/',
      detached: true,
      stdio: ['ignore', 'ignore', 'inherit', listener, this.#memory],
      env: { IOTH_STACK: stack, IOTH_DIR: dir, IOTH_TOKEN: token, IOTH_MODE: 'native' },
    })
    child.once('error', error => {
      process.stderr.write(`Cannot start "${PROGRAM}": ${error.message}\n`)
      this.#again()
    })
    child.once('exit', (status, signal) => {
      // With 0 it saw the last program's end.
      if (status === 0) return
      process.stderr.write(`the supervisor ended (${signal ?? status}); another one is started\n`)
      this.#again()
    })
    child.unref()
  }

  /** At once, since calls may wait that the kernel has told of already. */
  #again(): void {
    const wait = Math.max(0, this.#startedAt + AGAIN_MS - performance.now())
    setTimeout(() => this.start(), wait)
  }
}
