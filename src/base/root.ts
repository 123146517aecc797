// Where ioth is: the directory that has package.json, dist/ and build/, in a checkout and under PREFIX/lib/ioth alike.
//
// What is loaded may be a source file, its translation, or a bundle of many (tools/bundle.js) in another directory; so
// the way up is not counted, it is looked for.
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = findRoot()

/** A file of ioth's, named from there. */
export const inRoot = (path: string): string => join(root, path)

function findRoot(): string {
  const here = fileURLToPath(import.meta.url)
  for (
    let directory = dirname(here);
    directory !== dirname(directory);
    directory = dirname(directory)
  )
    if (existsSync(join(directory, 'package.json'))) return directory
  throw new Error(`there is no package.json above ${here}`)
}
