// preload/abi.h and src/shm/layout.ts say the same: a C program prints what the compiler makes of the
// first, for every name it holds.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'

import t from 'tap'

import * as layout from '../src/shm/layout.ts'
import { root } from './helpers/ioth-run.ts'

const source = readFileSync(`${root}/preload/abi.h`, 'utf8').replace(/\/\*[^]*?\*\//g, '')

/** TypeScript's name for a struct of abi.h. */
const tables = {
  region: layout.REGION,
  call: layout.CALL,
  record: layout.RECORD,
  abi_addr: layout.ADDR,
  abi_message: layout.MESSAGE,
  abi_host: layout.HOST,
  abi_interfaces: layout.INTERFACES,
  abi_interface: layout.INTERFACE,
  abi_interface_address: layout.INTERFACE_ADDRESS,
  abi_host_address: layout.HOST_ADDRESS,
  ctl_request: layout.CTL_REQUEST,
  ctl_reply: layout.CTL_REPLY,
} as Record<string, Record<string, number>>
const sizes = {
  call: layout.CALL_SIZE,
  record: layout.RECORD_SIZE,
  abi_addr: layout.ADDR_SIZE,
  abi_message: layout.MESSAGE_SIZE,
  abi_host: layout.HOST_SIZE,
  abi_interfaces: layout.INTERFACES_SIZE,
  abi_interface: layout.INTERFACE_SIZE,
  abi_interface_address: layout.INTERFACE_ADDRESS_SIZE,
  abi_host_address: layout.HOST_ADDRESS_SIZE,
  ctl_request: layout.CTL_REQUEST_SIZE,
  ctl_reply: layout.CTL_REPLY_SIZE,
} as Record<string, number>

/** Names that only the shim or the launcher use, or that TypeScript has in another form (checked below). */
const onlyInC = /^(IOTH_ABI_H|ENV_\w+|HEAD_\w+|GEOM_\w+|LOCK_SLOT|ABI_UNIX_TYPE)$/
const padding = /^(pad\d?|reserved)$/

const structs = new Map<string, string[]>()
for (const [, name, body] of source.matchAll(/^struct (\w+) \{([^]*?)^\};/gm))
  structs.set(
    name!,
    [...body!.matchAll(/(\w+)(?:\[\w+\])?(?=[;,])/g)]
      .map(match => match[1]!)
      .filter(field => !padding.test(field)),
  )
const enums = [...source.matchAll(/^enum \w+ \{([^]*?)\};/gm)].flatMap(([, body]) =>
  [...body!.matchAll(/(\w+) = /g)].map(match => match[1]!),
)
const macros = [...source.matchAll(/^#define (\w+)(?![\w(])/gm)]
  .map(match => match[1]!)
  .filter(name => !onlyInC.test(name))

const numbers = [...enums, ...macros].filter(name => name !== 'ABI_NAME_PREFIX')
const values = compiled([
  ...numbers.map(name => [name, `(unsigned long long)(${name})`] as const),
  ...[...structs].flatMap(([name, fields]) => [
    [`sizeof ${name}`, `sizeof(struct ${name})`] as const,
    ...fields.map(field => [`${name}.${field}`, `offsetof(struct ${name}, ${field})`] as const),
  ]),
  ['call.data size', 'sizeof(((struct call *)0)->data)'],
  ['HEAD_NATIVE', '(unsigned long long)(HEAD_NATIVE)'],
  ['HEAD_EPOCH', '(unsigned long long)(HEAD_EPOCH)'],
  ['GEOM_OFFSET', 'GEOM_OFFSET(0xfedcba95u)'],
  ['GEOM_SIZE', 'GEOM_SIZE(0xfedcba95u)'],
])

t.test('constants', async t => {
  t.ok(numbers.length > 50, `${numbers.length} of them`)
  for (const name of numbers)
    t.equal((layout as unknown as Record<string, unknown>)[name], Number(values.get(name)), name)
  t.match(source, `"${layout.ABI_NAME_PREFIX}"`)
})

t.test('offsets', async t => {
  t.same([...structs.keys()].sort(), Object.keys(tables).sort(), 'every struct is compared')
  for (const [name, fields] of structs) {
    t.same(Object.keys(tables[name]!).sort(), [...fields].sort(), `struct ${name}: the same fields`)
    for (const field of fields)
      t.equal(tables[name]![field], Number(values.get(`${name}.${field}`)), `${name}.${field}`)
    if (name in sizes) t.equal(sizes[name], Number(values.get(`sizeof ${name}`)), `sizeof ${name}`)
  }
  t.equal(layout.CALL_DATA_SIZE, Number(values.get('call.data size')))
})

t.test('the upper half of rx_head, and ring geometry', async t => {
  t.equal(BigInt(layout.HEAD_NATIVE_HIGH) << 32n, values.get('HEAD_NATIVE'))
  t.equal(BigInt(layout.HEAD_EPOCH_HIGH) << 32n, values.get('HEAD_EPOCH'))
  t.equal(layout.geomOffset(0xfedcba95), Number(values.get('GEOM_OFFSET')))
  t.equal(layout.geomSize(0xfedcba95), Number(values.get('GEOM_SIZE')))
  t.equal(layout.geom(0x1234000, 16) >>> 0, ((0x1234 << 5) | 16) >>> 0)
})

/** What gcc makes of each expression. */
function compiled(expressions: (readonly [string, string])[]): Map<string, bigint> {
  const dir = t.testdir()
  const lines = expressions.map(
    ([name, expression]) => `printf("%s=%llu\\n", "${name}", (unsigned long long)(${expression}));`,
  )
  writeFileSync(
    `${dir}/abi.c`,
    `#include "abi.h"\n#include <stdio.h>\nint main(void) {\n${lines.join('\n')}\n}\n`,
  )
  execFileSync('gcc', ['-std=c11', `-I${root}/preload`, `${dir}/abi.c`, '-o', `${dir}/abi`])
  const output = execFileSync(`${dir}/abi`, { encoding: 'utf8' })
  return new Map(
    output
      .trim()
      .split('\n')
      .map(line => line.split('=') as [string, string])
      .map(([name, value]) => [name, BigInt(value)]),
  )
}
