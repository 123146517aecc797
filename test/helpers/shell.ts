// A node with a shell that a test tells what to do: a command takes milliseconds, a node of its own most of a second.
import type { Test } from 'tap'

import { iothStart, until, type Program } from './program.ts'

export interface Answer {
  status: number
  /** Of both outputs. */
  text: string
}

export class Shell {
  readonly program: Program
  private count = 0

  constructor(t: Test, env: NodeJS.ProcessEnv, ...options: string[]) {
    this.program = iothStart(t, [...options, 'sh'], { env })
  }

  /** What `command` prints, and its status. `input`: its standard input, of lines. */
  async run(command: string, input = '', ms = 30_000): Promise<Answer> {
    const { program } = this
    const mark = `=${++this.count}=`
    const at = program.stdout.length
    const heredoc = `<<'${mark}'\n${input}${input === '' || input.endsWith('\n') ? '' : '\n'}${mark}\n`
    program.child.stdin!.write(`{ ${command}\n} 2>&1 ${heredoc}echo "${mark}$?"\n`)
    const pattern = new RegExp(`^([^]*)${mark}(\\d+)\n$`)
    const [, text, status] = await until(`"${command}"`, ms, () => {
      if (program.over) throw new Error(`the shell ended: ${program.stderr}`)
      return pattern.exec(program.stdout.slice(at))
    })
    return { status: Number(status), text: text! }
  }

  /** The same, and asserts that it ends well. Without white space at its end. */
  async ask(t: Test, command: string, input?: string): Promise<string> {
    const { status, text } = await this.run(command, input)
    t.equal(status, 0, `${command} ${status === 0 ? '' : text}`)
    return text.trimEnd()
  }

  /** Ends it. */
  async exit(t: Test): Promise<void> {
    this.program.child.stdin!.end('exit 0\n')
    t.match(await this.program.ends(), { status: 0, stderr: '' })
  }
}
