// /sys/class/net as programs look at it: by listing, by links, by relative names, from static programs; and as Linux has it.
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import { iothRun, runtime } from '../helpers/ioth-run.ts'
import { nothingLeft } from '../helpers/stack-server.ts'

t.jobs = 2

const ADDRESS = ['--ip', '10.0.0.5', '--mac', '02:00:00:00:00:05', '--mtu', '1400']

const LOOK = `
import glob, os
net = "/sys/class/net"
print(sorted(os.listdir(net)), os.readlink(net + "/eth0"), os.path.realpath(net + "/eth0"))
print(sorted(glob.glob(net + "/*/ifindex")), os.path.exists(net + "/eth0/device"))
print(open(net + "/../../devices/virtual/net/lo/type").read().strip())
for path in "/eth0/mtu", "/wlan0":
    try: open(net + path, "w")
    except OSError as e: print(e.strerror)
os.chdir(net + "/eth0")
print(open("address").read().strip(), open("operstate").read().strip())
d = os.open(net, os.O_RDONLY | os.O_DIRECTORY)
print(os.read(os.open("eth0/mtu", os.O_RDONLY, dir_fd=d), 10), [e.is_symlink() for e in os.scandir(d)])
print(oct(os.stat("mtu").st_mode), os.access("mtu", os.R_OK), os.path.islink(net + "/lo"))
`

t.test('directories, links, files', async t => {
  const env = runtime(t)
  const { stdout, stderr } = await iothRun([...ADDRESS, 'python3', '-c', LOOK], { env })
  t.equal(stderr, '')
  t.same(stdout.trim().split('\n'), [
    "['eth0', 'lo'] ../../devices/virtual/net/eth0 /sys/devices/virtual/net/eth0",
    "['/sys/class/net/eth0/ifindex', '/sys/class/net/lo/ifindex'] False",
    '772',
    'Read-only file system',
    'Read-only file system',
    '02:00:00:00:00:05 up',
    "b'1400\\n' [True, True]",
    '0o100444 True True',
  ])
  await nothingLeft(t, env)
})

t.test('counters move, what ip changes is seen', async t => {
  const script = [
    'cd /sys/class/net/lo/statistics; a=$(cat /sys/class/net/lo/statistics/tx_packets)',
    'ping -c 1 127.0.0.1 >/dev/null; b=$(cat /sys/class/net/lo/statistics/tx_packets)',
    'test $b -gt $a && echo more; ip link set eth0 mtu 1300; cat /sys/class/net/eth0/mtu',
    'ip link set eth0 down; cat /sys/class/net/eth0/operstate',
  ]
  const got = await iothRun([...ADDRESS, 'bash', '-c', script.join('; ')], { env: runtime(t) })
  t.match(got, { status: 0, stdout: 'more\n1300\ndown\n', stderr: '' })
})

t.test('a static program', async t => {
  const script = 'busybox ls /sys/class/net; busybox cat /sys/class/net/eth0/address'
  const words = [...ADDRESS, 'busybox', 'sh', '-c', script]
  const got = await iothRun(words, { env: runtime(t) })
  t.match(got, { status: 0, stdout: 'eth0\nlo\n02:00:00:00:00:05\n', stderr: '' })
})

/** What Linux has of a device with queues, or only for some, and what counts. */
const OTHERS =
  /^(phys_.*|queues|power|device|duplex|speed|carrier_.*|tx_queue_len|name_assign_type|threaded|napi_.*|gro_.*|addr_assign_type)$/

t.test('loopback’s attributes are those that Linux has, with its values', async t => {
  const lo = '/sys/class/net/lo'
  const names = readdirSync(lo).filter(name => !OTHERS.test(name))
  const files = names.filter(name => name !== 'subsystem' && name !== 'statistics')
  const script = `cd ${lo}; for f in ${files.join(' ')}; do echo "$f $(cat $f)"; done`
  const { stdout, stderr } = await iothRun([...ADDRESS, 'sh', '-c', script], { env: runtime(t) })
  t.equal(stderr, '')
  const theirs = files.map(name => `${name} ${readFileSync(join(lo, name), 'latin1').trimEnd()}\n`)
  t.equal(stdout, theirs.join(''))
})
