// curl against nginx: what it says of addresses, ranges, limits and failures is what it says on Linux.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import { scratch, sha256 } from '../helpers/content.ts'
import { iothRun, runtime } from '../helpers/ioth-run.ts'
import { PAGE, serveSite } from '../helpers/nginx.ts'
import { PYTHON, iothStart } from '../helpers/program.ts'

const env = runtime(t)
const nginx = await serveSite(t, env, { workers: 1 })
const sum = nginx.file('file', 5_000_000)
const URL = 'http://10.0.0.5'
const curl = (...words: string[]) =>
  iothRun(['--ip', '10.0.0.6/24', '--ip', '10.0.0.7/24', 'curl', '-sS', ...words], { env })

t.test('the source address and port it asks for are what the server sees', async t => {
  for (const ip of ['10.0.0.6', '10.0.0.7']) {
    const write = ['-w', '%{local_ip} %{local_port}']
    const { stdout } = await curl('--interface', ip, '--local-port', '4242', ...write, `${URL}/who`)
    t.match(stdout, new RegExp(`^\\d+ ${ip} 10\\.0\\.0\\.5\\n${ip} 4242$`))
  }
})

t.test('an address that is not its own cannot be a source', async t => {
  const { status, stderr } = await curl('--interface', '10.0.0.8', `${URL}/`)
  t.equal(status, 45)
  t.match(stderr, /bind failed with errno 99: Cannot assign requested address/)
})

t.test('ranges', async t => {
  const dir = scratch(t)
  const { status } = await curl('-r', '1234567-2345678', '-o', `${dir}/part`, `${URL}/file`)
  t.equal(status, 0)
  const whole = readFileSync(join(nginx.dir, 'www/file'))
  t.ok(whole.subarray(1234567, 2345679).equals(readFileSync(`${dir}/part`)))
})

t.test('HTTP/1.0, a connection per request: the server closes first', async t => {
  const words = ['--http1.0', '-w', '%{num_connects} ', `${URL}/`, `${URL}/`, `${URL}/`]
  t.match(await curl(...words), { status: 0, stdout: `${PAGE}1 `.repeat(3) })
})

t.test('Expect: 100-continue', async t => {
  const upload = ['-T', join(nginx.dir, 'www/file'), '-H', 'Expect: 100-continue']
  const { status, stderr } = await curl('-v', ...upload, `${URL}/put/file`)
  t.equal(status, 0)
  t.match(stderr, /< HTTP\/1\.1 100 Continue[^]*< HTTP\/1\.1 201 Created/)
  t.equal(sha256(join(nginx.dir, 'put/file')), sum)
})

t.test('--limit-rate: TCP slows the server down, nothing is lost', async t => {
  const dir = scratch(t)
  const { status } = await curl('--limit-rate', '2M', '-o', `${dir}/file`, `${URL}/file`)
  t.equal(status, 0)
  t.equal(sha256(`${dir}/file`), sum)
})

t.test('a port where nobody listens: refused at once', async t => {
  const { status, stderr } = await curl('-w', '%{time_total}', `${URL}:81/`)
  t.equal(status, 7)
  t.match(stderr, /Failed to connect to 10\.0\.0\.5 port 81 after \d+ ms: Couldn't connect/)
  t.match((await curl('-v', `${URL}:81/`)).stderr, /Connection refused/)
})

t.test('an address that nobody has: no route to host', async t => {
  const { status, stderr } = await curl('-v', 'http://10.0.0.99/')
  t.equal(status, 7)
  t.match(stderr, /No route to host/)
})

t.test('an address beyond the network: unreachable', async t => {
  const { status, stderr } = await curl('-v', 'http://192.0.2.1/')
  t.equal(status, 7)
  t.match(stderr, /Network is unreachable/)
})

t.test('--max-time ends a transfer that does not move', async t => {
  const silent =
    'import socket, time; s = socket.create_server(("", 80)); print("ready", flush=True)'
  const server = iothStart(t, ['--ip', '10.0.0.9', PYTHON, '-c', `${silent}; time.sleep(60)`], {
    env,
  })
  await server.says(/ready/)
  const { status, stderr } = await curl('--max-time', '1', 'http://10.0.0.9/')
  t.equal(status, 28)
  t.match(stderr, /Operation timed out after \d+ milliseconds with 0 bytes received/)
})

t.test('names of the local host', async t => {
  const script = `import socket
s = socket.create_server(('127.0.0.1', 80)); print(s.getsockname()[1])
c = socket.create_connection(('localhost', 80)); print(c.getpeername()[0])`
  const { status, stdout } = await iothRun(['--ip', '10.0.0.6', PYTHON, '-c', script], { env })
  t.match({ status, stdout }, { status: 0, stdout: '80\n127.0.0.1\n' })
})
