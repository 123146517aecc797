// busybox is static, so the supervisor serves it; and programs for musl, and what they start.
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import t, { type Test } from 'tap'

import { iothRun, runtime } from '../helpers/ioth-run.ts'
import { iothStart } from '../helpers/program.ts'
import { nothingLeft } from '../helpers/stack-server.ts'

t.jobs = 2

/** Runs busybox as 10.0.0.6, and gives what it printed. */
function client(t: Test, env: NodeJS.ProcessEnv) {
  return async (...words: string[]) => {
    const { status, stdout, stderr } = await iothRun(['--ip', '10.0.0.6', 'busybox', ...words], {
      env,
    })
    t.equal(status, 0, `busybox ${words.join(' ')}: ${stderr}`)
    return stdout
  }
}

t.test('httpd and wget', async t => {
  const env = runtime(t)
  const dir = t.testdir({ 'index.html': 'hello\n' })
  const bytes = randomBytes(20_000_000)
  writeFileSync(join(dir, 'large'), bytes)
  const server = iothStart(
    t,
    ['--ip', '10.0.0.5', 'sh', '-c', `echo ready; exec busybox httpd -f -h ${dir}`],
    { env },
  )
  await server.says(/ready/)
  const busybox = client(t, env)
  const retry = 'for i in 1 2 3 4 5 6 7 8 9; do busybox wget -q -O - "$1" && exit; sleep 0.2; done'
  t.equal(await busybox('sh', '-c', retry, 'sh', 'http://10.0.0.5/'), 'hello\n')
  const fetched = join(dir, 'fetched')
  await busybox('wget', '-q', '-O', fetched, 'http://10.0.0.5/large')
  const sum = createHash('sha256').update(bytes).digest('hex')
  t.equal(await busybox('sha256sum', fetched), `${sum}  ${fetched}\n`)
  server.signal('SIGTERM')
  await server.ends()
  await nothingLeft(t, env)
})

t.test('nc, both ways and half closed', async t => {
  const env = runtime(t)
  const server = iothStart(
    t,
    ['--ip', '10.0.0.5', 'busybox', 'sh', '-c', 'echo ready; busybox nc -l -p 7 -e cat'],
    { env },
  )
  await server.says(/ready/)
  const busybox = client(t, env)
  const script = 'until seq 1 20000 | busybox nc 10.0.0.5 7; do sleep 0.1; done'
  const lines = (await busybox('sh', '-c', script)).trim().split('\n')
  t.equal(lines.length, 20_000)
  t.equal(lines.at(-1), '20000')
  t.match(await server.ends(), { status: 0, stderr: '' })
})

t.test('ping, IPv4 and IPv6; interfaces, routes, names', async t => {
  const env = runtime(t)
  const words = ['--ip', '10.0.0.5', '--ip', 'fd00::5', 'sh', '-c', 'echo up; exec sleep 60']
  const other = iothStart(t, words, { env })
  await other.says(/up/)
  const run = (...words: string[]) =>
    iothRun(
      [
        '--ip',
        '10.0.0.6',
        '--ip',
        'fd00::6',
        '--name',
        'six.lab',
        '--dns',
        '10.0.0.53',
        'busybox',
      ].concat(words),
      { env },
    )
  t.match(await run('ping', '-c', '2', '-i', '0.2', '10.0.0.5'), {
    status: 0,
    stdout: / 2 packets transmitted, 2 packets received|2 packets received/,
  })
  t.match(await run('ping', '-6', '-c', '1', 'fd00::5'), {
    status: 0,
    stdout: /1 packets received/,
  })
  t.match(await run('ifconfig', 'eth0'), { stdout: /inet addr:10\.0\.0\.6 .*\n.*inet6 addr: / })
  t.match(await run('route', '-n'), { stdout: /10\.0\.0\.0 .* eth0/ })
  t.match(await run('hostname'), { stdout: 'six.lab\n' })
  t.match(await run('cat', '/etc/resolv.conf'), { stdout: 'nameserver 10.0.0.53\n' })
  t.match(await run('grep', 'six', '/etc/hosts'), { stdout: /^10\.0\.0\.6\s+six\.lab six\n/ })
})

/** Prints what a port says, then becomes the program that is named. */
const MUSL = `
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char text[64];
	ssize_t n;

	inet_pton(AF_INET, "10.0.0.5", &to.sin_addr);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return perror("connect"), 1;
	while ((n = read(fd, text, sizeof(text))) > 0)
		fwrite(text, 1, (size_t)n, stdout);
	close(fd);
	fflush(stdout);
	if (argc > 1)
		execvp(argv[1], argv + 1);
	return 0;
}
`

t.test('a program for musl, from ioth-run and from a shell, and what it starts', async t => {
  const env = runtime(t)
  const musl = join(t.testdir(), 'musl')
  execFileSync('musl-gcc', ['-x', 'c', '-', '-o', musl], { input: MUSL })
  const script = 'echo ready; while :; do echo hi | nc.traditional -l -p 7 -q 0; done'
  const server = iothStart(t, ['--ip', '10.0.0.5', 'sh', '-c', script], { env })
  await server.says(/ready/)
  for (const command of [
    [musl],
    ['sh', '-c', `${musl}; :`],
    [musl, musl],
    [musl, 'nc.traditional', '10.0.0.5', '7'],
  ]) {
    const retried = `for i in 1 2 3 4 5 6 7 8 9; do "$@" && exit; sleep 0.1; done`
    const { stdout } = await iothRun(['--ip', '10.0.0.6', 'sh', '-c', retried, 'sh', ...command], {
      env,
    })
    t.match(stdout, /^(hi\n)+$/, command.slice(1).join(' '))
  }
})
