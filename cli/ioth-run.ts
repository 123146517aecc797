#!/bin/sh
//bin/true 2>/dev/null; IOTH_FILE=$(readlink -f "$0") && . "${IOTH_FILE%/*}/start.sh" && unset IOTH_FILE && exec node "$0" "$@"

// To a shell the line above is a command, to JavaScript a comment: start.sh writes down what Node is
// about to change, then Node reads this file. Newer syntax and newer modules are loaded only after the
// look at the version.
const major = Number(process.version.slice(1).split('.')[0])
if (major >= 20) {
  const { run } = await import('./run.ts')
  await run()
} else {
  process.stderr.write(
    `ioth-run: cannot start with Node ${process.version}: install Node.js 20 or newer\n`,
  )
  process.exitCode = 125
}
