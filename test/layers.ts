// Dependencies point one way: a layer imports itself and those below it, by files that exist.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import t from 'tap'

const below: Record<string, string[]> = {
  base: [],
  wire: ['base'],
  'stack/link': ['wire', 'base'],
  'stack/net': ['stack/link', 'wire', 'base'],
  'stack/transport': ['stack/net', 'stack/link', 'wire', 'base'],
  stack: ['stack/transport', 'stack/net', 'stack/link', 'wire', 'base'],
  ffi: ['base'],
  shm: ['ffi', 'base'],
  ring: ['shm', 'ffi', 'base', 'stack/link/sink.ts'],
  plug: ['ring', 'shm', 'ffi', 'wire', 'base', 'stack/link/sink.ts'],
  switch: ['plug', 'ring', 'shm', 'ffi', 'wire', 'base', 'server/runtime.ts'],
  conf: ['stack/stack.ts', 'wire', 'base'],
  names: ['stack/stack.ts', 'wire', 'base'],
  view: ['stack/stack.ts', 'wire', 'base'],
  netlink: ['view', 'stack/stack.ts', 'wire', 'base'],
  sockets: ['netlink', 'view', 'stack/stack.ts', 'ring', 'shm', 'ffi', 'wire', 'base'],
  server: [
    'sockets',
    'view',
    'names',
    'conf',
    'stack/stack.ts',
    'switch',
    'plug',
    'ring',
    'shm',
    'ffi',
    'wire',
    'base',
  ],
}
const layers = Object.keys(below).sort((a, b) => b.length - a.length)
const layerOf = (file: string) => layers.find(layer => file.startsWith(`${layer}/`))

/** What `file` imports from `from` that it may not; both relative to src/. */
function broken(file: string, specs: Iterable<string>): string[] {
  const from = layerOf(file)
  if (from === undefined) return [`${file} is in no layer`]
  const wrong = []
  for (const spec of specs) {
    const path = normalize(join(dirname(file), spec))
    const to = layerOf(path)
    if (to === undefined) wrong.push(`${file} -> ${path}, which is in no layer`)
    else if (to !== from && !below[from].includes(to) && !below[from].includes(path))
      wrong.push(`${file} -> ${path}`)
  }
  return wrong
}

t.test('no file of src/ imports from a layer above it', async t => {
  const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter(
    file => file.endsWith('.ts') && file.includes('/'),
  )
  t.ok(files.length > 30)
  for (const file of files) {
    const source = readFileSync(join('src', file), 'utf8')
    const specs = Array.from(source.matchAll(/(?:from|import\() ?'(\.[^']+)'/g), ([, spec]) => spec)
    t.same(broken(file, specs), [], file)
    for (const spec of specs) t.ok(existsSync(join('src', dirname(file), spec)), `${file}: ${spec}`)
  }
})

for (const [file, spec, allowed] of [
  ['wire/arp.ts', '../base/bytes.ts', true],
  ['wire/arp.ts', '../stack/link/nic.ts', false],
  ['stack/link/nic.ts', '../net/ipv4.ts', false],
  ['stack/net/ipv4.ts', '../link/nic.ts', true],
  ['stack/stack.ts', './transport/tcp/tcp.ts', true],
  ['sockets/stream.ts', '../stack/stack.ts', true],
  ['sockets/stream.ts', '../stack/net/ipv4.ts', false],
  ['base/bytes.ts', '../elsewhere/x.ts', false],
] as const)
  t.test(`${file} may${allowed ? '' : ' not'} import ${spec}`, async t => {
    t.equal(broken(file, [spec]).length === 0, allowed)
  })
