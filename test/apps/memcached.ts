// memcached: threads that share connections by pipes of their own, UDP beside TCP, as another user than root.
import t from 'tap'

import { iothRun, runtime } from '../helpers/ioth-run.ts'
import { PYTHON, iothStart } from '../helpers/program.ts'
import { nothingLeft, stackServerOf } from '../helpers/stack-server.ts'

t.jobs = 2

const CLIENT = `
import socket, struct, threading
failed = []
def client(n):
    with socket.create_connection(('10.0.0.5', 11211)) as c, c.makefile('rwb') as f:
        value = lambda i: b'%d' % n * (i * 200)
        for i in range(50): f.write(b'set %d-%d 0 0 %d\\r\\n%s\\r\\n' % (n, i, len(value(i)), value(i)))
        f.flush()
        assert all(f.readline() == b'STORED\\r\\n' for i in range(50))
        for i in range(50):
            f.write(b'get %d-%d\\r\\nincr count 1\\r\\n' % (n, i)); f.flush()
            assert f.readline() == b'VALUE %d-%d 0 %d\\r\\n' % (n, i, len(value(i)))
            assert f.read(len(value(i)) + 7) == value(i) + b'\\r\\nEND\\r\\n'
            assert f.readline().strip().isdigit()
def guarded(n):
    try: client(n)
    except BaseException as e: failed.append((n, repr(e)))
with socket.create_connection(('10.0.0.5', 11211)) as c, c.makefile('rwb') as f:
    f.write(b'set count 0 0 1\\r\\n0\\r\\n'); f.flush(); assert f.readline() == b'STORED\\r\\n'
    threads = [threading.Thread(target=guarded, args=(n,)) for n in range(10)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert not failed, failed
    f.write(b'get count\\r\\nstats\\r\\n'); f.flush()
    assert [f.readline() for _ in range(3)] == [b'VALUE count 0 3\\r\\n', b'500\\r\\n', b'END\\r\\n']
    stats = dict(line.split()[1:3] for line in iter(f.readline, b'END\\r\\n'))
    assert (stats[b'threads'], stats[b'cmd_set']) == (b'4', b'501'), stats
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.connect(('10.0.0.5', 11211)); u.settimeout(10)
u.send(struct.pack('>HHHH', 7, 0, 1, 0) + b'get 3-49\\r\\n')
parts = {}
while True:
    part = u.recv(2000); request, number, of, _ = struct.unpack_from('>HHHH', part); assert request == 7
    parts[number] = part[8:]
    if len(parts) == of: break
assert b''.join(parts[i] for i in range(of)) == b'VALUE 3-49 0 9800\\r\\n' + b'3' * 9800 + b'\\r\\nEND\\r\\n'
print('done')`

for (const mode of ['ring', 'native'])
  t.test(
    `memcached in ${mode} mode: ten clients, four threads, an answer of many datagrams`,
    async t => {
      const env = { ...runtime(t), IOTH_MODE: mode }
      const words = ['memcached', '-u', 'nobody', '-t', '4', '-U', '11211', '-l', '0.0.0.0', '-vv']
      const all = ['--ip', '10.0.0.5', 'sh', '-c', 'exec "$@" 2>&1', 'sh', ...words]
      const server = iothStart(t, all, { env })
      await server.says(/server listening(?:[^]*server listening \(udp\)){4}/)
      await stackServerOf(env, server.pid)
      const got = await iothRun(['--ip', '10.0.0.6', PYTHON, '-c', CLIENT], { env })
      t.match(got, { status: 0, stdout: 'done\n', stderr: '' })
      server.signal('SIGTERM')
      t.match(await server.ends(), { status: 0 })
      await nothingLeft(t, env)
    },
  )
