// Node.js: a cluster, whose workers get listeners and connections by SCM_RIGHTS; fetch; dgram; both resolvers.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import t, { type Test } from 'tap'

import { scratch } from '../helpers/content.ts'
import { iothRun, root, runtime } from '../helpers/ioth-run.ts'
import { iothStart } from '../helpers/program.ts'
import { nothingLeft, stackServerOf } from '../helpers/stack-server.ts'

t.jobs = 2

const NODE = process.execPath

const CLUSTER = `
import cluster from 'node:cluster'
import { createHash } from 'node:crypto'
import dgram from 'node:dgram'
import http from 'node:http'
if (cluster.isPrimary) {
  cluster.schedulingPolicy = process.argv[2] === 'none' ? cluster.SCHED_NONE : cluster.SCHED_RR
  let up = 0
  cluster.on('listening', () => ++up === 4 && console.log('ready'))
  cluster.on('exit', (worker, status, signal) => console.log('worker', status, signal))
  for (let i = 0; i < 2; i++) cluster.fork()
  process.on('SIGTERM', () => cluster.disconnect(() => console.log('disconnected')))
} else {
  http
    .createServer((request, response) => {
      const hash = createHash('sha256')
      response.setHeader('x-worker', cluster.worker.id)
      request.on('data', text => hash.update(text))
      request.on('end', () => {
        const n = Number(request.url.slice(1))
        response.end(n > 0 ? Buffer.alloc(n, 'a') : hash.digest('hex') + request.socket.remoteAddress)
      })
    })
    .listen(80, '0.0.0.0')
  const socket = dgram.createSocket('udp4')
  socket.on('message', (text, from) => socket.send(cluster.worker.id + ' ' + text, from.port, from.address))
  socket.bind(5000)
}`

const CLIENT = `
import assert from 'node:assert'
import { createHash, randomBytes } from 'node:crypto'
import dgram from 'node:dgram'
const workers = new Set()
const body = randomBytes(500000)
const digest = createHash('sha256').update(body).digest('hex')
const headers = { connection: 'close' }
await Promise.all(Array.from({ length: 20 }, async (_, i) => {
  const got = await fetch('http://10.0.0.5/' + (i * 20000 + 1))
  assert.equal((await got.text()).length, i * 20000 + 1)
  const put = await fetch('http://10.0.0.5/', { method: 'POST', body, headers })
  assert.equal(await put.text(), digest + '10.0.0.6')
  workers.add(put.headers.get('x-worker'))
}))
const socket = dgram.createSocket('udp4')
const answers = new Set()
await new Promise((resolve, reject) => {
  socket.on('error', reject).on('message', text => {
    answers.add(String(text).split(' ')[1])
    if (answers.size === 50) resolve()
  })
  for (let i = 0; i < 50; i++) socket.send('text-' + i, 5000, '10.0.0.5')
})
socket.close()
console.log('workers', [...workers].sort().join())`

function script(t: Test, text: string): string {
  const file = join(scratch(t), 'script.mjs')
  writeFileSync(file, text)
  return file
}

// With 'none' workers accept from one listener: who gets how many is theirs.
for (const [policy, workers] of [
  ['rr', /^workers 1,2\n$/],
  ['none', /^workers (1|2|1,2)\n$/],
] as const)
  t.test(`a cluster of two, scheduled by ${policy}`, async t => {
    const env = runtime(t)
    const words = ['--ip', '10.0.0.5', NODE, script(t, CLUSTER), policy]
    const server = iothStart(t, words, { env })
    await server.says(/ready/)
    await stackServerOf(env, server.pid)
    const got = await iothRun(['--ip', '10.0.0.6', NODE, script(t, CLIENT)], { env })
    t.match(got, { status: 0, stdout: workers, stderr: '' })
    server.signal('SIGTERM')
    t.match(await server.ends(), { status: 0, stdout: /disconnected\n/, stderr: '' })
    await nothingLeft(t, env)
  })

const NAME_SERVER = `
import dgram from 'node:dgram'
import net from 'node:net'
import packet from ${JSON.stringify(pathToFileURL(join(root, 'node_modules/dns-packet/index.js')))}
const records = [
  { name: 'web.lab', type: 'A', data: '10.0.0.5' },
  { name: '5.0.0.10.in-addr.arpa', type: 'PTR', data: 'web.lab' },
  { name: 'lab', type: 'MX', data: { preference: 5, exchange: 'web.lab' } },
  ...Array.from({ length: 100 }, (_, i) => ({ name: 'many.lab', type: 'A', data: '10.1.0.' + i })),
]
const answer = ({ id, questions }, most) => {
  const [{ name, type }] = questions
  const known = records.some(record => record.name === name.toLowerCase())
  const answers = records.filter(record => record.name === name.toLowerCase() && record.type === type)
  const reply = { id, type: 'response', questions, flags: packet.RECURSION_AVAILABLE | (known ? 0 : 3) }
  const all = packet.encode({ ...reply, answers })
  if (all.length <= most) return all
  return packet.encode({ ...reply, flags: reply.flags | packet.TRUNCATED_RESPONSE })
}
const socket = dgram.createSocket('udp4')
socket.on('message', (text, { port, address }) => socket.send(answer(packet.decode(text), 512), port, address))
socket.bind(53, () =>
  net.createServer(connection => {
    connection.on('error', () => {}).on('data', text => {
      const reply = answer(packet.decode(text.subarray(2)), 65535)
      connection.write(Buffer.concat([Buffer.from([reply.length >> 8, reply.length & 255]), reply]))
    })
  }).listen(53, () => console.log('ready')))`

const ASKS = `
import assert from 'node:assert'
import dns from 'node:dns/promises'
assert.deepEqual(dns.getServers(), ['10.0.0.53'])
assert.deepEqual(await dns.lookup('web.lab'), { address: '10.0.0.5', family: 4 })
assert.deepEqual(await dns.lookup('web'), { address: '10.0.0.5', family: 4 })
assert.deepEqual(await dns.resolve4('web.lab'), ['10.0.0.5'])
assert.deepEqual(await dns.resolveMx('lab'), [{ exchange: 'web.lab', priority: 5 }])
assert.deepEqual(await dns.reverse('10.0.0.5'), ['web.lab'])
assert.equal((await dns.resolve4('many.lab')).length, 100, 'over TCP')
assert.equal((await dns.lookup('many.lab', { all: true })).length, 100, 'over TCP')
await assert.rejects(dns.resolve4('no.lab'), { code: 'ENOTFOUND' })
await assert.rejects(dns.lookup('no.lab'), { code: 'ENOTFOUND' })
await assert.rejects(fetch('http://web.lab/'), ({ cause }) => cause.code === 'ECONNREFUSED')
await assert.rejects(fetch('http://10.0.0.77/', { signal: AbortSignal.timeout(10000) }), ({ cause }) =>
  cause.code === 'EHOSTUNREACH')
console.log('done')`

t.test('dns.lookup() asks by libc, dns.resolve() by c-ares, of a server of ours', async t => {
  const env = runtime(t)
  const server = iothStart(t, ['--ip', '10.0.0.53', NODE, script(t, NAME_SERVER)], { env })
  await server.says(/ready/)
  const web = iothStart(t, ['--ip', '10.0.0.5', 'cat'], { env })
  await stackServerOf(env, web.pid)
  const asks = ['--ip', '10.0.0.6', '--dns', '10.0.0.53', '--search', 'lab', NODE, script(t, ASKS)]
  t.match(await iothRun(asks, { env }), { status: 0, stdout: 'done\n', stderr: '' })
  web.child.stdin!.end()
  server.signal('SIGTERM')
  t.match(await server.ends(), { signal: 'SIGTERM', stderr: '' })
  await web.ends()
  await nothingLeft(t, env)
})

t.test('child_process.fork(): a connection goes to the child, which answers', async t => {
  const env = runtime(t)
  const server = script(
    t,
    `
import { fork } from 'node:child_process'
import net from 'node:net'
if (process.send === undefined) {
  const child = fork(process.argv[1])
  const server = net.createServer({ pauseOnConnect: true }, c => child.send('take', c))
  server.listen(80, () => console.log('ready'))
  child.on('exit', status => server.close(() => process.exit(status)))
} else {
  let taken = 0
  process.on('message', (_, connection) => {
    connection.setEncoding('latin1').on('data', text => connection.write(text.toUpperCase()))
    connection.on('end', () => connection.end()).resume()
    connection.on('close', () => ++taken === 20 && process.disconnect())
  })
}`,
  )
  const client = script(
    t,
    `
import assert from 'node:assert'
import net from 'node:net'
await Promise.all(Array.from({ length: 20 }, async (_, i) => {
  const connection = net.connect(80, '10.0.0.5').setEncoding('latin1')
  const text = ('text ' + i + ' ').repeat(1000 * i + 1)
  connection.end(text)
  let got = ''
  for await (const piece of connection) got += piece
  assert.equal(got, text.toUpperCase())
}))
console.log('done')`,
  )
  const program = iothStart(t, ['--ip', '10.0.0.5', NODE, server], { env })
  await program.says(/ready/)
  const got = await iothRun(['--ip', '10.0.0.6', NODE, client], { env })
  t.match(got, { status: 0, stdout: 'done\n', stderr: '' })
  t.match(await program.ends(), { status: 0, stderr: '' })
  await nothingLeft(t, env)
})
