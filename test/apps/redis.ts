// Redis: a fork that saves while clients write, replicas, a cluster of servers that all have port 6379.
import t, { type Test } from 'tap'

import { scratch } from '../helpers/content.ts'
import { iothRun, runtime } from '../helpers/ioth-run.ts'
import { iothStart, until } from '../helpers/program.ts'
import { Shell } from '../helpers/shell.ts'
import { nothingLeft, stackServerOf } from '../helpers/stack-server.ts'

t.jobs = 2

/** Names and values that differ. */
const KEYS = Array.from({ length: 100 }, (_, i) => `key:${i}`)
const VALUES = KEYS.map((key, i) => `value-of-${key}-${'x'.repeat(i * 10)}`)
const SETS = KEYS.map((key, i) => `SET ${key} ${VALUES[i]}\n`).join('')
const GETS = KEYS.map(key => `GET ${key}\n`).join('')

/** Servers on a network of this test, and redis-cli at 10.0.0.9. */
function network(t: Test) {
  const env = runtime(t)
  const serve = async (ip: string, ...options: string[]) => {
    const words = ['redis-server', '--protected-mode', 'no', '--save', '', ...options]
    const program = iothStart(t, ['--ip', ip, ...words], { env })
    await program.says(/Ready to accept connections/)
    await stackServerOf(env, program.pid)
    return program
  }
  const shell = new Shell(t, env, '--ip', '10.0.0.9')
  const cli = (words: string, input?: string) => shell.ask(t, `redis-cli ${words}`, input)
  /** Ends servers as init would, and the rest; nothing may be left. */
  const end = async (...servers: { signal(name: 'SIGTERM'): void; ends(): Promise<unknown> }[]) => {
    for (const server of servers) server.signal('SIGTERM')
    for (const server of servers) t.match(await server.ends(), { status: 0 })
    await shell.exit(t)
    await nothingLeft(t, env)
  }
  return { env, serve, cli, shell, end }
}

t.test('BGSAVE forks under load, a replica follows, and what was saved is all of it', async t => {
  const { env, serve, cli, shell, end } = network(t)
  const debug = ['--enable-debug-command', 'yes', '--repl-diskless-sync-delay', '0', '--dir']
  const dir = scratch(t)
  const server = await serve('10.0.0.5', ...debug, dir)
  t.match(await cli('-h 10.0.0.5 --pipe', SETS), `errors: 0, replies: ${KEYS.length}`)
  t.equal(await cli('-h 10.0.0.5 DEBUG POPULATE 50000'), 'OK')

  const load = ['-h', '10.0.0.5', '-c', '20', '-d', '1000', '-r', '500', '-t', 'set']
  const words = ['--ip', '10.0.0.6', 'redis-benchmark', ...load, '-q', '-l']
  const benchmark = iothStart(t, words, { env })
  await benchmark.says(/SET: rps=\d/)
  t.equal(await cli('-h 10.0.0.5 BGSAVE'), 'Background saving started')
  await server.says(/Background saving terminated with success/)
  // It is sent a fork's view, too, and then what was written meanwhile.
  const follow = ['--replicaof', '10.0.0.5', '6379', ...debug, scratch(t)]
  const replica = await serve('10.0.0.7', ...follow)
  await replica.says(/MASTER <-> REPLICA sync: Finished with success/)
  t.equal(benchmark.over, false, benchmark.stdout + benchmark.stderr)
  const before = benchmark.stdout.length
  await until('the benchmark to go on', 5000, () => benchmark.stdout.length > before + 500)
  benchmark.signal('SIGTERM')
  t.match(await benchmark.ends(), { signal: 'SIGTERM', stderr: '' })

  // WAIT: until one replica has all that its connection wrote.
  t.equal(await cli('-h 10.0.0.5', 'SET last 1\nWAIT 1 10000\n'), 'OK\n1')
  const digest = await cli('-h 10.0.0.5 DEBUG DIGEST')
  t.match(digest, /^[0-9a-f]{40}$/)
  t.equal(await cli('-h 10.0.0.7 DEBUG DIGEST'), digest, 'the replica has the same')
  t.same((await cli('-h 10.0.0.7', GETS)).split('\n'), VALUES)

  await shell.run('redis-cli -h 10.0.0.5 SHUTDOWN SAVE')
  t.match(await server.ends(), { status: 0 })
  await replica.says(/Connection with master lost/)
  const again = await serve('10.0.0.5', ...debug, dir)
  t.equal(await cli('-h 10.0.0.5 DEBUG DIGEST'), digest, 'and so has who reads what was saved')
  await end(again, replica)
})

t.test('a cluster: three servers on port 6379, each leads to all data; slots move', async t => {
  const { serve, cli, end } = network(t)
  const hosts = ['10.0.0.5', '10.0.0.6', '10.0.0.7']
  const servers = await Promise.all(
    hosts.map(ip => serve(ip, '--cluster-enabled', 'yes', '--dir', scratch(t))),
  )
  const addresses = hosts.map(ip => `${ip}:6379`)
  t.match(
    await cli(`--cluster create ${addresses.join(' ')} --cluster-yes`),
    /All nodes agree about slots configuration[^]*All 16384 slots covered/,
  )
  // A server believes it two seconds after it knows it.
  for (const host of hosts)
    while (!(await cli(`-h ${host} CLUSTER INFO`)).includes('cluster_state:ok'));
  /** Without redis-cli's own words about who has it. */
  const ask = async (host: string, lines: string) =>
    (await cli(`-c -h ${host}`, lines)).split('\n').filter(line => !line.startsWith('->'))
  t.same(
    await ask('10.0.0.5', SETS),
    KEYS.map(() => 'OK'),
  )
  for (const host of hosts) t.same(await ask(host, GETS), VALUES, `by ${host}`)

  const from = await cli('-h 10.0.0.5 CLUSTER MYID')
  const to = await cli('-h 10.0.0.6 CLUSTER MYID')
  const move = `--cluster-from ${from} --cluster-to ${to} --cluster-slots 200 --cluster-yes`
  await cli(`--cluster reshard 10.0.0.5:6379 ${move}`)
  const check = await cli('--cluster check 10.0.0.7:6379')
  t.match(check, /All nodes agree about slots configuration[^]*All 16384 slots covered/)
  t.match(check, `${from} 10.0.0.5:6379\n   slots:[200-5460]`)
  t.match(check, `[OK] ${KEYS.length} keys in 3 masters.`)
  t.same(await ask('10.0.0.7', GETS), VALUES, 'after the move')
  await end(...servers)
})

t.test('redis-benchmark: every command, 50 clients, with pipelines', async t => {
  const { env, serve, end } = network(t)
  const server = await serve('10.0.0.5')
  const benchmark = ['--ip', '10.0.0.6', 'redis-benchmark', '-h', '10.0.0.5', '--csv', '-c', '50']
  for (const [options, lines] of [
    ['-n 200', 21],
    ['-n 20000 -P 16 -d 500 -t set,get,lpush,rpop', 5],
  ] as const) {
    const got = await iothRun([...benchmark, ...options.split(' ')], { env })
    t.match(got, { status: 0, stderr: '' })
    t.equal(got.stdout.match(/^"[^\n]+"$/gm)?.length, lines, got.stdout)
  }
  await end(server)
})

t.test('killed with clients that wait: they hear of it; its log is read again', async t => {
  const { env, serve, cli, end } = network(t)
  const options = ['--dir', scratch(t), '--appendonly', 'yes', '--appendfsync', 'always']
  const server = await serve('10.0.0.5', ...options)
  const [subscriber, blocked] = [
    ['10.0.0.6', 'SUBSCRIBE', 'news'],
    ['10.0.0.7', 'BLPOP', 'list', '0'],
  ].map(([ip, ...words]) =>
    iothStart(t, ['--ip', ip!, 'redis-cli', '-h', '10.0.0.5', ...words], { env }),
  )
  await subscriber!.says(/^subscribe\nnews\n1\n/)
  t.equal(await cli('-h 10.0.0.5 PUBLISH news hello'), '1')
  await subscriber!.says(/\nmessage\nnews\nhello\n/)
  while (!(await cli('-h 10.0.0.5 INFO clients')).includes('blocked_clients:1'));
  t.equal(await cli('-h 10.0.0.5 RPUSH list one'), '1')
  t.match(await blocked!.ends(), { status: 0, stdout: 'list\none\n' })
  await cli('-h 10.0.0.5', SETS)
  server.signal('SIGKILL')
  t.match(await server.ends(), { signal: 'SIGKILL' })
  t.match(await subscriber!.ends(), { stderr: /Server closed the connection/ })

  const again = await serve('10.0.0.5', ...options)
  t.same((await cli('-h 10.0.0.5', GETS)).split('\n'), VALUES)
  await end(again)
})
