// The supervisor, which serves static programs: killed, stopped, gone with its server; programs killed while they wait
// for it.
import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

import t, { type Test } from 'tap'

import { iothRun, root, runtime } from '../helpers/ioth-run.ts'
import { iothStart, until } from '../helpers/program.ts'
import { nothingLeft, stackServerOf } from '../helpers/stack-server.ts'

t.jobs = 2

const dir = t.testdir()

/** serve: one line for each connection; ask ADDRESS: what comes. A signal that it handles ends no call of its own. */
const SOURCE = `
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static void handled(int sig) { (void)sig; }
int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)};
	struct sigaction act = {.sa_handler = handled, .sa_flags = SA_RESTART};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char text[64];
	ssize_t n;

	setvbuf(stdout, NULL, _IONBF, 0);
	sigaction(SIGUSR1, &act, NULL);
	act.sa_flags = 0;
	sigaction(SIGUSR2, &act, NULL);
	if (argc > 1) {
		inet_pton(AF_INET, argv[1], &to.sin_addr);
		if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
			return perror("connect"), 1;
		while ((n = read(fd, text, sizeof(text))) > 0)
			fwrite(text, 1, (size_t)n, stdout);
		return 0;
	}
	if (bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0 || listen(fd, 8) < 0)
		return perror("bind"), 1;
	printf("ready\\n");
	for (int i = 1;; i++) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		int c = accept(fd, (struct sockaddr *)&from, &len);

		if (c < 0) {
			printf("accept: %s\\n", strerror(errno));
			continue;
		}
		write(c, text, (size_t)sprintf(text, "%d %s\\n", i, inet_ntoa(from.sin_addr)));
		close(c);
	}
}
`
const program = join(dir, 'static')
execFileSync('gcc', ['-static', '-O1', '-x', 'c', '-', '-o', program], { input: SOURCE })

/** Processes whose parent is `pid`, by name. */
function childrenOf(pid: number, name: string): number[] {
  return readdirSync('/proc')
    .filter(entry => /^\d+$/.test(entry))
    .map(Number)
    .filter(child => {
      const stat = statOf(child)
      return stat !== undefined && stat.parent === pid && stat.name === name
    })
}

function statOf(pid: number): { name: string; parent: number; state: string } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const [state, parent] = text.slice(text.lastIndexOf(')') + 2).split(' ')
    const name = text.slice(text.indexOf('(') + 1, text.lastIndexOf(')'))
    return { name, state: state!, parent: Number(parent) }
  } catch {
    return undefined // it ended meanwhile
  }
}

async function serving(t: Test) {
  const env = runtime(t)
  const server = iothStart(t, ['--ip', '10.0.0.5', program], { env })
  await server.says(/ready/)
  const { pid } = await stackServerOf(env, server.pid)
  const supervisor = async () => {
    await until('there is a supervisor', 5000, () => childrenOf(pid, 'ioth-supervisor').length > 0)
    return childrenOf(pid, 'ioth-supervisor')[0]!
  }
  const ask = async (ip: string, ...words: string[]) =>
    (await iothRun(['--ip', ip, ...words, '10.0.0.5'], { env })).stdout
  const end = async () => {
    server.signal('SIGTERM')
    t.match(await server.ends(), { signal: 'SIGTERM' })
    await nothingLeft(t, env)
  }
  return { env, server, stack: pid, supervisor, ask, end }
}

t.test('one that is killed is replaced, and the call that waited goes on', async t => {
  const { supervisor, ask, end } = await serving(t)
  t.equal(await ask('10.0.0.6', program), '1 10.0.0.6\n')
  for (const i of [2, 3]) {
    const old = await supervisor()
    process.kill(old, 'SIGKILL')
    await until('it is gone', 5000, () => statOf(old) === undefined)
    t.equal(await ask('10.0.0.6', program), `${i} 10.0.0.6\n`)
    t.not(await supervisor(), old)
  }
  await end()
})

t.test('signals: with SA_RESTART the call goes on, without it ends', async t => {
  const { server, ask, end } = await serving(t)
  server.signal('SIGUSR1')
  t.equal(await ask('10.0.0.6', program), '1 10.0.0.6\n')
  server.signal('SIGUSR2')
  await server.says(/accept: Interrupted system call/)
  t.equal(await ask('10.0.0.6', program), '3 10.0.0.6\n')
  await end()
})

t.test('a program that is killed while it waits leaves its port', async t => {
  const { env, ask } = await serving(t)
  const script = `${program} & sleep 0.3; kill -9 $!; wait $! 2>/dev/null; ${program} & sleep 60 & wait $!`
  const shell = iothStart(t, ['--ip', '10.0.0.7', 'sh', '-c', script], { env })
  await shell.says(/ready\nready/)
  t.equal(shell.stderr, '')
  t.equal(
    (await iothRun(['--ip', '10.0.0.6', program, '10.0.0.7'], { env })).stdout,
    '1 10.0.0.6\n',
  )
  t.equal(await ask('10.0.0.6', program), '1 10.0.0.6\n')
})

t.test('without its server it tells programs, and ends with the last of them', async t => {
  const { server, stack, supervisor } = await serving(t)
  const its = await supervisor()
  process.kill(stack, 'SIGKILL')
  await server.says(/accept: Network is down/)
  server.signal('SIGKILL')
  await server.ends()
  await until('it has ended', 5000, () => statOf(its) === undefined)
})

t.test('calls with arguments that mean nothing do it no harm', async t => {
  const env = runtime(t)
  const rubbish = join(dir, 'rubbish')
  execFileSync('gcc', ['-static', '-O1', join(root, 'test/fixtures/rubbish.c'), '-o', rubbish])
  const rounds = `for seed in 2 3 4 5; do ${rubbish} $seed 5000; done`
  const script = `${rubbish} 1 1; sleep 0.5; ${rounds}; echo over; exec sleep 60`
  const shell = iothStart(t, ['--ip', '10.0.0.5', 'sh', '-c', script], { env })
  await shell.says(/served/)
  const { pid } = await stackServerOf(env, shell.pid)
  const before = childrenOf(pid, 'ioth-supervisor')
  t.equal(before.length, 1)
  await shell.says(/over/, 60_000)
  t.match(shell, { stdout: 'served\nserved\nserved\nserved\nserved\nover\n', stderr: '' })
  t.same(childrenOf(pid, 'ioth-supervisor'), before, 'it is the same process')
})
