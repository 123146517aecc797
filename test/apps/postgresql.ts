// PostgreSQL: a process per connection, three servers on port 5432 that copy from each other, and one that crashes.
import { chownSync, readdirSync, appendFileSync } from 'node:fs'
import { join } from 'node:path'

import t, { type Test } from 'tap'

import { scratch } from '../helpers/content.ts'
import { execute, iothRun, runtime } from '../helpers/ioth-run.ts'
import { iothStart } from '../helpers/program.ts'
import { Shell } from '../helpers/shell.ts'
import { nothingLeft, stackServerOf } from '../helpers/stack-server.ts'

t.jobs = 2

const LIB = '/usr/lib/postgresql'
const BIN = join(LIB, readdirSync(LIB).sort().at(-1)!, 'bin')
/** It refuses to be root. */
const NOBODY = 65534
const unprivileged =
  process.getuid!() === 0
    ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups']
    : []
const own = (path: string) => {
  if (unprivileged.length > 0) chownSync(path, NOBODY, NOBODY)
}

/** A network with data for a server that any node there may use, and a shell at 10.0.0.9. */
async function network(t: Test) {
  const env = runtime(t)
  const dir = scratch(t)
  own(dir)
  const data = join(dir, 'new')
  const [command, ...words] = [...unprivileged, `${BIN}/initdb`, '-D', data, '-U', 'me']
  const made = await execute(command, [...words, '-A', 'trust', '-N', '--no-instructions'])
  t.equal(made.status, 0, made.stderr)
  for (const who of ['all', 'replication'])
    appendFileSync(join(data, 'pg_hba.conf'), `host ${who} all 10.0.0.0/24 trust\n`)

  /** A server at `ip`, with a copy of the data unless it has its own. */
  const serve = async (ip: string, own = data, ...options: string[]) => {
    const settings = ['listen_addresses=*', 'unix_socket_directories=', 'fsync=off', ...options]
    const server = [...unprivileged, `${BIN}/postgres`, '-D', own]
    const words = [...server, ...settings.flatMap(setting => ['-c', setting])]
    const program = iothStart(t, ['--ip', ip, 'sh', '-c', 'exec "$@" 2>&1', 'sh', ...words], {
      env,
    })
    await program.says(/ready to accept (read-only )?connections/)
    await stackServerOf(env, program.pid)
    return program
  }
  const shell = new Shell(t, env, '--ip', '10.0.0.9')
  const sql = (host: string, query: string, options = '') =>
    shell.ask(t, `psql -h ${host} -U me -AtX ${options} postgres`, query)
  /** Ends servers by a fast shutdown; nothing may be left. */
  const end = async (...servers: Awaited<ReturnType<typeof serve>>[]) => {
    for (const server of servers) {
      server.signal('SIGINT')
      t.match(await server.ends(), { status: 0, stdout: /database system is shut down\n$/ })
    }
    await shell.exit(t)
    await nothingLeft(t, env)
  }
  return { env, dir, data, serve, shell, sql, end }
}

t.test(
  'pgbench: 8 clients; a statement is cancelled; a crash of one is survived by all',
  async t => {
    const { env, serve, sql, shell, end } = await network(t)
    const server = await serve('10.0.0.5')
    await shell.ask(t, `${BIN}/pgbench -h 10.0.0.5 -U me -i -q postgres`)
    const words = ['-h', '10.0.0.5', '-U', 'me', '-c', '8', '-j', '2', '-t', '40', '-n', 'postgres']
    for (const protocol of ['simple', 'prepared']) {
      const bench = ['--ip', '10.0.0.6', `${BIN}/pgbench`, '-M', protocol, ...words]
      const done = await iothRun(bench, { env })
      t.match(done, { status: 0, stdout: 'actually processed: 320/320' }, done.stderr)
    }
    const sums = await sql(
      '10.0.0.5',
      `select count(*), count(distinct sum) from (select sum(abalance) from pgbench_accounts union all
      select sum(bbalance) from pgbench_branches union all select sum(tbalance) from pgbench_tellers
      union all select sum(delta) from pgbench_history) as sums;
    select count(*) from pgbench_history;
    select inet_client_addr(), inet_server_addr(), inet_server_port();`,
    )
    t.equal(sums, '4|1\n640\n10.0.0.9|10.0.0.5|5432')

    const psql = [
      'psql',
      '-h',
      '10.0.0.5',
      '-U',
      'me',
      '-X',
      '-c',
      'select pg_sleep(60)',
      'postgres',
    ]
    const sleeper = async (ip: string) => {
      const program = iothStart(t, ['--ip', ip, ...psql], { env })
      const query = `select pid from pg_stat_activity where client_addr = '${ip}' and state = 'active'`
      for (let pid; ;)
        if ((pid = await sql('10.0.0.5', query)) !== '') return { program, pid: +pid }
    }
    const { program } = await sleeper('10.0.0.6')
    program.signal('SIGINT')
    t.match(await program.ends(), { status: 1, stderr: /canceling statement due to user request/ })

    const [victim, other] = [await sleeper('10.0.0.6'), await sleeper('10.0.0.7')]
    const before = server.stdout.length
    process.kill(victim.pid, 'SIGKILL')
    t.match(await victim.program.ends(), { status: 2, stderr: /server closed the connection/ })
    t.match(await other.program.ends(), { status: 2, stderr: /crash of another server process/ })
    await server.says(new RegExp(`^[^]{${before}}[^]*ready to accept connections`))
    t.equal(await sql('10.0.0.5', 'select count(*) from pgbench_history'), '640')
    await end(server)
  },
)

t.test('three servers on port 5432: backup, replication, foreign tables, TLS', async t => {
  const { env, dir, data, serve, sql, shell, end } = await network(t)
  const [second, third] = [join(dir, 'second'), join(dir, 'third')]
  t.match(await execute('cp', ['-a', data, second]), { status: 0 })
  const openssl = 'req -x509 -newkey rsa:2048 -nodes -subj /CN=lab -days 1'.split(' ')
  const [key, cert] = [join(second, 'server.key'), join(second, 'server.crt')]
  t.match(await execute('openssl', [...openssl, '-keyout', key, '-out', cert]), { status: 0 })
  for (const file of [key, cert]) own(file)

  const primary = await serve('10.0.0.5')
  const other = await serve('10.0.0.6', second, 'ssl=on')
  const copy = [...unprivileged, `${BIN}/pg_basebackup`, '-h', '10.0.0.5', '-U', 'me', '-D', third]
  const got = await iothRun(['--ip', '10.0.0.7', ...copy, '-R', '-X', 'stream', '-c', 'fast'], {
    env,
  })
  t.match(got, { status: 0, stderr: '' })
  const replica = await serve('10.0.0.7', third)

  const ROWS = 20_000
  await sql(
    '10.0.0.5',
    `create table a as select i, repeat(md5(i::text), 10) as m from generate_series(1, ${ROWS}) i`,
  )
  const digest = (table: string) =>
    `select count(*), md5(string_agg(i || m, '' order by i)) from ${table};`
  const sum = await sql('10.0.0.5', digest('a'))
  t.match(sum, new RegExp(`^${ROWS}\\|[0-9a-f]{32}$`))

  await shell.ask(
    t,
    `psql -h 10.0.0.5 -U me -Xc 'copy a to stdout' postgres >${dir}/a &&
    psql -h 10.0.0.6 -U me -Xc 'create table a (i int, m text)' -c '\\copy a from ${dir}/a' postgres`,
  )
  t.equal(await sql('10.0.0.6', digest('a')), sum, 'through files')
  t.equal(await sql('10.0.0.6', 'select ssl from pg_stat_ssl where pid = pg_backend_pid()'), 't')
  await sql(
    '10.0.0.6',
    `create extension postgres_fdw;
    create server s foreign data wrapper postgres_fdw options (host '10.0.0.5', dbname 'postgres');
    create user mapping for me server s options (user 'me', password_required 'false');
    create foreign table f (i int, m text) server s options (table_name 'a');`,
  )
  t.equal(await sql('10.0.0.6', digest('f')), sum, 'from server to server')
  const arrived = `select pg_last_wal_replay_lsn() >= '${await sql('10.0.0.5', 'select pg_current_wal_lsn()')}'`
  while ((await sql('10.0.0.7', arrived)) !== 't');
  t.equal(await sql('10.0.0.7', digest('a')), sum, 'by replication')
  await end(primary, other, replica)
})
