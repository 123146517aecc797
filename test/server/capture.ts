// What a stack sends last is in its capture, too.
import { join } from 'node:path'

import t from 'tap'

import { scratch } from '../helpers/content.ts'
import { iothRun, runtime } from '../helpers/ioth-run.ts'
import { dissect } from '../helpers/lab.ts'
import { PYTHON, iothStart } from '../helpers/program.ts'
import { nothingLeft } from '../helpers/stack-server.ts'

const SERVER = `
import socket
s = socket.create_server(('', 7)); print('ready', flush=True)
while True: c, _ = s.accept(); c.recv(10); c.close()`

/** The peer closes first, so that the client's last segment is its own FIN, and then nothing is left of it. */
const CLIENT = `
import socket
c = socket.create_connection(('10.0.0.5', 7)); c.send(b'x'); c.recv(1); c.close()`

t.test('the last frames of a node', async t => {
  const env = runtime(t)
  const dir = scratch(t)
  const server = iothStart(t, ['--ip', '10.0.0.5', PYTHON, '-c', SERVER], { env })
  await server.says(/ready/)
  const captures = [0, 1, 2, 3, 4].map(i => join(dir, `${i}.pcap`))
  for (const capture of captures) {
    const net = `pcap://${capture}{switch://default}`
    const words = ['--ip', '10.0.0.6', '--net', net, PYTHON, '-c', CLIENT]
    t.match(await iothRun(words, { env }), { status: 0, stderr: '' })
  }
  server.signal('SIGTERM')
  await server.ends()
  await nothingLeft(t, env)
  for (const capture of captures) {
    const fins = dissect(capture, 'tcp.flags.fin == 1', 'ip.src')
    t.same(fins, { wrong: '', lines: ['10.0.0.5', '10.0.0.6'] }, capture)
    const all = dissect(capture, 'frame', 'frame.number', 'ip.src')
    t.match(all.lines.at(-1), /^\d+ 10\.0\.0\.5$/, 'the acknowledgment of the last FIN')
  }
})
