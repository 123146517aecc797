// Programs that look at interfaces, addresses, routes: by ioctl(), by getifaddrs(), in /proc/net.
import t from 'tap'

import { iothRun, runtime } from '../helpers/ioth-run.ts'
import { iothStart } from '../helpers/program.ts'

const env = { ...runtime(t), PATH: `${process.env['PATH']}:/usr/sbin:/sbin` }
const node = ['--ip', '10.0.0.5/24', '--ip', 'fd00::5/64', '--mac', '02:00:00:00:00:05']
const routes = ['--route', 'default via 10.0.0.1', '--route', '10.9.0.0/16 via 10.0.0.2 metric 7']
t.jobs = 3
/** Each node has the same address, and a network of its own. */
let networks = 0

const NODE_SCRIPT = `
const { eth0, lo, ...others } = require('os').networkInterfaces()
console.log(lo.map(a => a.cidr).join(), eth0.map(a => a.cidr).join(), Object.keys(others).length)`
const PYTHON_SCRIPT = `
import socket
print(socket.if_nameindex())
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
print(socket.getaddrinfo('fe80::1%eth0', 7, type=socket.SOCK_DGRAM)[0][4])`

const SERVERS = `python3 -c "
import socket, subprocess
stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
def bound(family, kind, at):
    s = socket.socket(family, kind)
    s.bind(at)
    return s
listeners = [bound(socket.AF_INET, stream, a) for a in [('10.0.0.5', 80), ('127.0.0.1', 7)]]
listeners.append(bound(socket.AF_INET6, stream, ('::', 81)))
for s in listeners: s.listen()
others = [bound(socket.AF_INET, datagram, ('10.0.0.5', 53)), bound(socket.AF_INET6, datagram, ('::1', 53))]
a = socket.create_connection(('127.0.0.1', 7))
b, _ = listeners[1].accept()
a.send(b'xyz')
socket.create_connection(('10.0.0.5', 80)).close()
subprocess.run(['netstat', '-tuan'])"`

for (const mode of ['ring', 'native'])
  for (const [name, command, ...wanted] of [
    [
      'ifconfig',
      ['ifconfig', '-a'],
      /^eth0: flags=4163<UP,BROADCAST,RUNNING,MULTICAST> {2}mtu 1500\n/m,
      /inet 10\.0\.0\.5 {2}netmask 255\.255\.255\.0 {2}broadcast 10\.0\.0\.255\n/,
      /inet6 fd00::5 {2}prefixlen 64 {2}scopeid 0x0<global>\n/,
      /ether 02:00:00:00:00:05 {2}txqueuelen 1000 {2}\(Ethernet\)\n/,
      /^lo: flags=73<UP,LOOPBACK,RUNNING> {2}mtu 65536\n {8}inet 127\.0\.0\.1 {2}netmask 255\.0\.0\.0\n/m,
    ],
    [
      'route -n',
      ['route', '-n'],
      /^0\.0\.0\.0 +10\.0\.0\.1 +0\.0\.0\.0 +UG +0 +0 +0 eth0$/m,
      /^10\.9\.0\.0 +10\.0\.0\.2 +255\.255\.0\.0 +UG +7 +0 +0 eth0$/m,
      /^10\.0\.0\.0 +0\.0\.0\.0 +255\.255\.255\.0 +U +0 +0 +0 eth0$/m,
    ],
    ['netstat -rn -6', ['netstat', '-rn', '-6'], /^fd00::\/64 +:: +U +256 \d+ +\d+ eth0$/m],
    ['netstat -i', ['netstat', '-i'], /^eth0 +1500 /m, /^lo +65536 /m],
    ['hostname -I', ['hostname', '-I'], /^10\.0\.0\.5 fd00::5 \n$/],
    [
      'netstat -tuan',
      ['sh', '-c', SERVERS],
      /^tcp +0 +0 10\.0\.0\.5:80 +0\.0\.0\.0:\* +LISTEN *$/m,
      /^tcp +[03] +0 127\.0\.0\.1:7 +127\.0\.0\.1:\d+ +ESTABLISHED *$/m,
      /^tcp6 +0 +0 :::81 +:::\* +LISTEN *$/m,
      /^udp +0 +0 10\.0\.0\.5:53 +0\.0\.0\.0:\* *$/m,
      /^udp6 +0 +0 ::1:53 +:::\* *$/m,
    ],
    [
      'Node’s os.networkInterfaces()',
      [process.execPath, '-e', NODE_SCRIPT],
      /^127\.0\.0\.1\/8,::1\/128 10\.0\.0\.5\/24,fd00::5\/64,fe80::\S+\/64 0\n$|^127\.0\.0\.1\/8,::1\/128 10\.0\.0\.5\/24,fe80::\S+\/64,fd00::5\/64 0\n$/,
    ],
    [
      'Python: names of interfaces, and a scope by name',
      ['python3', '-c', PYTHON_SCRIPT],
      /^\[\(1, 'lo'\), \(2, 'eth0'\)\]\n\('fe80::1', 7, 0, 2\)\n$/,
    ],
  ] as [string, string[], ...RegExp[]][])
    t.test(`${name}, ${mode}`, async t => {
      const net = ['--net', `switch://${networks++}`]
      const { status, stdout } = await iothRun([...net, ...node, ...routes, ...command], {
        env: { ...env, IOTH_MODE: mode },
      })
      t.equal(status, 0)
      for (const text of wanted) t.match(stdout, text)
    })

t.test('arp -n: a neighbor that answered', async t => {
  iothStart(t, ['--ip', '10.0.0.6/24', '--mac', '02:00:00:00:00:06', 'cat'], { env })
  const script = 'ping -c 1 -W 20 10.0.0.6 >/dev/null; arp -n'
  const { stdout } = await iothRun([...node, 'sh', '-c', script], { env })
  t.match(stdout, /^10\.0\.0\.6 +ether +02:00:00:00:00:06 +C +eth0$/m)
})
