// Finds a program as execvp(3) would, so that a mistake is told before anything is started. The sentences
// and statuses are those of preload/launch.c.
import { accessSync, constants, statSync } from 'node:fs'

import { EXIT_CANNOT_RUN, EXIT_NOT_FOUND, Failure } from './exit.ts'

/** What execvp(3) searches when there is no PATH. */
const DEFAULT_PATH = '/bin:/usr/bin'

/** The file that is run; throws the sentence for a command that cannot be. */
export function checkCommand(command: string, path: string | undefined): string {
  if (command.includes('/')) {
    refuse(command, look(command), 'no such file')
    return command
  }
  let worst: Finding = 'missing'
  for (const dir of (path ?? DEFAULT_PATH).split(':')) {
    const file = dir === '' ? `./${command}` : `${dir}/${command}`
    const finding = look(file)
    if (finding === 'fine') return file
    if (finding !== 'missing') worst = finding
  }
  return refuse(command, command === '' ? 'missing' : worst, 'no such command in PATH')
}

type Finding = 'fine' | 'missing' | 'directory' | 'forbidden'

function look(file: string): Finding {
  try {
    const stat = statSync(file)
    if (stat.isDirectory()) return 'directory'
    if (!stat.isFile()) return 'forbidden'
    accessSync(file, constants.X_OK)
    return 'fine'
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code === 'EACCES' || code === 'EPERM' ? 'forbidden' : 'missing'
  }
}

/** Throws, but for a fine one. */
function refuse(command: string, finding: Finding, missing: string): string {
  const say = (why: string, status: number): never => {
    throw new Failure(`cannot run "${command}": ${why}`, status)
  }
  if (finding === 'missing') say(missing, EXIT_NOT_FOUND)
  if (finding === 'directory') say('it is a directory', EXIT_CANNOT_RUN)
  if (finding === 'forbidden') say('it may not be executed (chmod +x would do)', EXIT_CANNOT_RUN)
  return command
}
