// /sys/class/net as the stack has it, as a tree of real files: programs list directories, follow links and open files in
// them by relative names, which nothing but a file system does right. It is made when a program first asks, in the
// stack's directory, and written anew each time one does; the shim puts its path in place of /sys (preload/paths.c).
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import type { Stack } from '../stack/stack.ts'
import { CLASS, DEVICES, sysNet } from '../view/sys-net.ts'

export class SysTree {
  readonly #stack: Stack
  readonly #root: string
  #made = false
  readonly #written = new Map<string, string>()

  /** `root`: what stands for /sys. */
  constructor(stack: Stack, root: string) {
    this.#stack = stack
    this.#root = root
  }

  /** The tree's root, with everything in it as it is now. */
  show(): string {
    if (!this.#made) this.#make()
    for (const [name, files] of sysNet(this.#stack))
      for (const [file, text] of files) this.#write(join(DEVICES, name, file), text)
    return this.#root
  }

  /** Anew: the thread before this one may have left one. */
  #make(): void {
    rmSync(this.#root, { recursive: true, force: true })
    mkdirSync(join(this.#root, CLASS), { recursive: true })
    for (const name of sysNet(this.#stack).keys()) {
      mkdirSync(join(this.#root, DEVICES, name, 'statistics'), { recursive: true })
      symlinkSync(join('../..', DEVICES, name), join(this.#root, CLASS, name))
      symlinkSync('../../../../class/net', join(this.#root, DEVICES, name, 'subsystem'))
    }
    this.#made = true
  }

  #write(path: string, text: string): void {
    if (this.#written.get(path) === text) return
    writeFileSync(join(this.#root, path), text, { mode: 0o444, flag: 'w' })
    this.#written.set(path, text)
  }
}
