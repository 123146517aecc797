// Makes each program in dist/ one file, in place: Node needs a millisecond for each module, and a stack
// has 250 of them. What is imported as a package stays one, and so does what is imported later.
import { fileURLToPath } from 'node:url'

import { build } from 'esbuild'

const dist = fileURLToPath(new URL('../dist/', import.meta.url))
const programs = ['cli/run.js', 'cli/serve.js', 'cli/ioth-switch.js', 'src/server/thread.js']

await build({
  entryPoints: programs.map(path => dist + path),
  outdir: dist,
  outbase: dist,
  allowOverwrite: true,
  bundle: true,
  // Loads its native part by where it lies itself.
  external: ['koffi'],
  // For CommonJS packages that require Node's modules.
  banner: {
    js: "import { createRequire } from 'node:module'\nconst require = createRequire(import.meta.url)",
  },
  format: 'esm',
  platform: 'node',
  target: 'node20',
  logLevel: 'warning',
})
