// How ioth-run will serve a program, by what its file is.
import { UserError } from '../src/base/user-error.ts'
import { checkCommand } from './command.ts'
import { Failure } from './exit.ts'
import { readImage, type Image } from './image.ts'

/** Interpreters of interpreters, before Linux says ELOOP. */
const SCRIPT_DEPTH = 5

/**
 * 'preload': the shim is loaded into it. 'go', 'static', 'foreign-loader': its system calls are served as seccomp
 * tells of them; into a foreign loader's program the shim must not even be tried. 'foreign-machine': not at all.
 */
export type Service = 'preload' | 'go' | 'static' | 'foreign-loader' | 'foreign-machine'

export interface Examination {
  readonly service: Service
  /** The file that is loaded in the end, its loader or machine, and how it was come to, in sentences. */
  readonly file: string
  readonly detail: string
  readonly path: readonly string[]
}

/** Throws what execve(2) would say, and a UserError for what cannot be read. */
export function examine(file: string, depth = 0): Examination {
  const image = open(file)
  switch (image.kind) {
    case 'script': {
      if (depth === SCRIPT_DEPTH)
        throw new Failure(`cannot run "${file}": its interpreters are scripts, too many times`, 126)
      const inner = examine(checkCommand(image.interpreter, undefined), depth + 1)
      const step = `${file} is a script for ${image.interpreter}.`
      return { ...inner, path: [step, ...inner.path] }
    }
    case 'unknown': {
      const inner = examine('/bin/sh', SCRIPT_DEPTH)
      const step = `${file} is no program: /bin/sh reads it (execvp(3)).`
      return { ...inner, path: [step, ...inner.path] }
    }
    case 'foreign':
      return { service: 'foreign-machine', file, detail: image.machine, path: [] }
    case 'program':
      return { service: serviceOfProgram(image), file, detail: image.loader ?? '', path: [] }
  }
}

/** The same where the answer may be that nobody can read the file: then it is run as most are. */
export function serviceOf(file: string): Service {
  try {
    return examine(file).service
  } catch (error) {
    if (error instanceof UserError || error instanceof Failure) return 'preload'
    throw error
  }
}

/** The loader that the shim was built for, and that Node runs by. */
export function ownLoader(): string | undefined {
  const image = open(process.execPath)
  return image.kind === 'program' ? image.loader : undefined
}

function serviceOfProgram({ loader, isGo }: Extract<Image, { kind: 'program' }>): Service {
  if (loader === undefined) return isGo ? 'go' : 'static'
  const own = ownLoader()
  if (own !== undefined && loader !== own) return 'foreign-loader'
  return isGo ? 'go' : 'preload'
}

function open(file: string): Image {
  try {
    return readImage(file)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new UserError(`Cannot read "${file}": ${code === 'EACCES' ? 'no permission' : code}`)
  }
}
