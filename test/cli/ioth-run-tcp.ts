import t from 'tap'

import { iothRun, runtime } from '../helpers/ioth-run.ts'

const env = runtime(t)

/** Congestion control, initial window, keep-alive of a fresh connection over loopback. */
const LOOK = `
import socket
listener = socket.create_server(('127.0.0.1', 7))
s = socket.create_connection(('127.0.0.1', 7))
print(s.getsockopt(6, socket.TCP_CONGESTION, 16).rstrip(b'\\0').decode(), s.getsockopt(6, socket.TCP_KEEPIDLE), s.getsockopt(6, socket.TCP_INFO, 7)[5] & 1)
`

for (const [words, want] of [
  [[], 'cubic 7200 1'],
  [['--tcp', 'cc=reno,keepalive_time=60'], 'reno 60 1'],
  [['--tcp', 'cc=reno', '--tcp', 'cc=cubic,timestamps=0'], 'cubic 7200 0'],
] as const)
  t.test(`ioth-run ${words.join(' ')}: ${want}`, async t => {
    const { stdout, stderr } = await iothRun([...words, 'python3', '-c', LOOK], { env })
    t.equal(stderr, '')
    t.equal(stdout.trim(), want)
  })

t.test('--tcp of what there is not is one sentence', async t => {
  const { status, stderr } = await iothRun(['--tcp', 'cc=bbr', 'true'], { env })
  t.equal(status, 125)
  t.equal(stderr, 'ioth-run: cannot use --tcp "cc=bbr": write cc=cubic|reno\n')
})
