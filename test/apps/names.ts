// Names: libc's functions in programs of ours, answered by a dnsmasq on the network; and the files that programs with
// resolvers of their own read.
import t, { type Test } from 'tap'

import { iothRun, runtime } from '../helpers/ioth-run.ts'
import { dissect, Lab } from '../helpers/lab.ts'
import { injectFault, stackServerOf } from '../helpers/stack-server.ts'
import { noTaps } from '../helpers/netns.ts'

const skip = noTaps ?? false
t.jobs = 4

/** More than a datagram without EDNS0 carries. */
const MANY = Array.from({ length: 60 }, (_, i) => `--host-record=many.lab,10.7.1.${i + 1}`)
const RECORDS = [
  '--host-record=web.lab,10.7.0.8,2001:db8::8',
  '--host-record=four.lab,10.7.0.4',
  '--cname=www.lab,alias.lab',
  '--cname=alias.lab,web.lab',
  '--txt-record=text.lab,hello',
  '--local=/lab/',
  '--host-record=bare,10.7.0.77',
  '--ptr-record=9.0.7.10.in-addr.arpa,nine.lab',
  '--local=/in-addr.arpa/',
  '--local=/ip6.arpa/',
  ...MANY,
]

/** A network with a name server, and what a command of ours on it prints. */
async function lab(t: Test) {
  const lab = await Lab.open(t, '10.7.0.1/24', '2001:db8::1/64')
  const server = await lab.dnsmasq('--log-queries', '--local-ttl=60', ...RECORDS)
  const run = async (command: string, ...options: string[]) => {
    const { program, capture } = lab.run(
      ...['--ip', '10.7.0.5/24', '--search', 'lab', ...options, '--dns', '10.7.0.1'],
      ...['sh', '-c', command],
    )
    const end = await program.ends(30_000)
    return { ...end, capture }
  }
  return { lab, server, run }
}

/** What the kernel's host prints for the same command, with the same name server. */
function onHost(lab: Lab, command: string): Promise<string> {
  const conf = lab.write('resolv.conf', 'nameserver 10.7.0.1\nsearch lab\n')
  const hosts = lab.write(
    'hosts',
    '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n',
  )
  const mounts = `mount --bind ${conf} /etc/resolv.conf && mount --bind ${hosts} /etc/hosts`
  return lab.host.run('unshare', '-m', 'sh', '-c', `${mounts} && { ${command}; }`)
}

const BY_PYTHON = `
import ctypes, socket as s
def say(f, *args):
    try: print(f(*args))
    except OSError as e: print(e)
names = "web.lab web www.lab four.lab many.lab nosuch.lab text.lab bare broken..lab a_b.lab".split()
names += ["web.lab.", "x" * 64 + ".lab", "localhost", "a.localhost", "10.7.0.4", "2001:db8::8", ""]
for name in names:
    for family in s.AF_UNSPEC, s.AF_INET, s.AF_INET6:
        for flags in 0, 0 if name == "many.lab" else s.AI_CANONNAME, s.AI_V4MAPPED, s.AI_V4MAPPED | s.AI_ALL, s.AI_ADDRCONFIG:
            say(lambda: [name, family, flags, sorted(s.getaddrinfo(name, 80, family, s.SOCK_STREAM, 0, flags))])
    if name == "many.lab": continue
    say(s.gethostbyname, name)
    say(s.gethostbyname_ex, name)
for address in "10.7.0.9 10.7.0.8 2001:db8::8 10.7.0.200 2001:db8::9 127.0.0.1 ::1 ::ffff:10.7.0.9".split():
    say(s.gethostbyaddr, address)
    for flags in 0, s.NI_NAMEREQD, s.NI_NUMERICHOST, s.NI_NOFQDN:
        say(s.getnameinfo, (address, 80), flags)
libc = ctypes.CDLL(None)
buf = ctypes.create_string_buffer(4096)
where = libc.__h_errno_location
where.restype = ctypes.POINTER(ctypes.c_int)
def query(f, *args):
    n = f(*args, buf, len(buf))
    print(args, n, buf.raw[2:max(n, 2)], where().contents.value if n < 0 else 0)
for f in libc.res_query, libc.__res_query, libc.res_search, libc.__res_search:
    for name in b"text.lab", b"text", b"web.lab", b"nosuch.lab", b"many.lab":
        query(f, name, 1, 16)
query(libc.res_querydomain, b"text", b"lab", 1, 16)
n = libc.res_mkquery(0, b"text.lab", 1, 16, None, 0, None, buf, len(buf))
asked = buf.raw[:n]
n = libc.res_send(asked, n, buf, len(buf))
print(n, buf.raw[:2] == asked[:2], buf.raw[2:n])
`

t.test('libc’s functions answer as on a host of the kernel’s', { skip }, async t => {
  const { lab: network, run } = await lab(t)
  const script = network.write('names.py', BY_PYTHON)
  const commands = [
    `python3 ${script}`,
    ...['ahosts', 'ahostsv4', 'ahostsv6', 'hosts'].flatMap(database =>
      ['web.lab', 'web', 'www.lab', 'four', 'nosuch', '10.7.0.9', 'localhost'].map(
        // glibc gives 127.0.0.1 twice: once as the IPv4 address of "::1 localhost".
        name =>
          database === 'ahostsv4' && name === 'localhost'
            ? ''
            : `getent ${database} ${name}; echo $?`,
      ),
    ),
    'getent ahosts many.lab | cut -d " " -f 1 | sort',
  ]
  const ours = await run(commands.join('\n'), '--ip', '2001:db8::5/64')
  t.equal(ours.status, 0)
  const theirs = await onHost(network, commands.join('\n'))
  t.ok(theirs.split('\n').length > 300)
  t.strictSame(ours.stdout.split('\n'), theirs.split('\n'))
  const { wrong, lines } = dissect(ours.capture, 'dns && tcp', 'dns.id')
  t.equal(wrong, '')
  t.ok(lines.length > 0, 'many.lab was asked for over TCP')
})

/** Runs python with `text`, and how long it took to be answered. */
const python = (text: string) => `python3 -c '${text}'`
const GAI = `
import socket, time
def ask(name):
    began = time.monotonic()
    try: answer = sorted({a[4][0] for a in socket.getaddrinfo(name, None)})
    except socket.gaierror as e: answer = e.errno
    return answer, time.monotonic() - began
`

t.test('without a name server names fail at once, and the hosts file answers', async t => {
  const env = runtime(t)
  const { stdout, stderr, status } = await iothRun(
    [
      ...['--ip', '10.7.0.5', '--name', 'me.lab', 'python3', '-c'],
      `${GAI}
for name in "nosuch.lab", "localhost", "x.localhost", "me.lab", "me":
    answer, took = ask(name)
    print(name, answer, took < 1)
print(socket.gethostname(), socket.getfqdn(), socket.gethostbyaddr("10.7.0.5"))`,
    ],
    { env },
  )
  t.match({ status, stderr }, { status: 0, stderr: '' })
  t.strictSame(stdout.split('\n'), [
    'nosuch.lab -3 True',
    "localhost ['127.0.0.1', '::1'] True",
    "x.localhost ['127.0.0.1', '::1'] True",
    "me.lab ['10.7.0.5'] True",
    "me ['10.7.0.5'] True",
    "me.lab me.lab ('me.lab', ['me'], ['10.7.0.5'])",
    '',
  ])
})

t.test('a silent server is given up, and what is known is not asked again', { skip }, async t => {
  const { run } = await lab(t)
  const { stdout } = await run(
    python(`${GAI}
for name in "web.lab", "web.lab":
    answer, took = ask(name)
    print(answer, took > 0.5)`),
    ...['--dns', '10.7.0.99', '--dns-option', 'timeout:1'],
  )
  t.equal(stdout, "['10.7.0.8', '2001:db8::8'] True\n['10.7.0.8', '2001:db8::8'] False\n")
})

t.test('curl finds a server of ours by its name', { skip }, async t => {
  const { lab: network, run } = await lab(t)
  const server = network.run('--ip', '10.7.0.4/24', 'python3', '-u', '-m', 'http.server', '80')
  await network.obtained(server.program)
  await server.program.says(/Serving HTTP/)
  const { stdout } = await run(
    'curl -s -o /dev/null -w "%{http_code} %{remote_ip}\n" http://four.lab/',
  )
  t.equal(stdout, '200 10.7.0.4\n')
})

t.test('programs with resolvers of their own: dig, host, Node’s dns.resolve', { skip }, async t => {
  const { run } = await lab(t)
  const node = `const dns = require("dns")
    dns.resolve4("web.lab", (e, a) => { console.log("resolve", e, a)
      dns.lookup("web", { family: 4 }, (e, a) => { console.log("lookup", e, a)
        dns.reverse("10.7.0.9", (e, a) => console.log("reverse", e, a)) }) })`
  const { stdout, stderr } = await run(
    [
      'dig +short web.lab',
      'dig +short @10.7.0.1 text.lab TXT',
      'dig +tcp +short many.lab | wc -l',
      'host -t A web.lab',
      'host 10.7.0.9',
      `node -e '${node}'`,
    ].join('\n'),
  )
  t.comment(stderr)
  t.strictSame(stdout.split('\n'), [
    '10.7.0.8',
    '"hello"',
    '60',
    'web.lab has address 10.7.0.8',
    '9.0.7.10.in-addr.arpa domain name pointer nine.lab.',
    "resolve null [ '10.7.0.8' ]",
    'lookup null 10.7.0.8',
    "reverse null [ 'nine.lab' ]",
    '',
  ])
})

t.test('files that are shown are read in any way, from anywhere, and not written', async t => {
  const env = runtime(t)
  const text = `
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def say(title, f):
    try: print(title, f())
    except OSError as e: print(title, errno.errorcode[e.errno])
path = "/etc/resolv.conf"
read = lambda: open(path).read()
def fopen(mode, again=None):
    libc.fopen.restype = libc.freopen.restype = ctypes.c_void_p
    file = libc.fopen(path.encode(), mode)
    if not file: raise OSError(ctypes.get_errno(), "")
    if again: file = libc.freopen(again, mode, ctypes.c_void_p(file))
    buf = ctypes.create_string_buffer(100)
    n = libc.fread(buf, 1, 100, ctypes.c_void_p(file))
    libc.fclose(ctypes.c_void_p(file))
    return buf.raw[:n]
say("read", read)
say("fopen", lambda: fopen(b"r"))
say("freopen", lambda: fopen(b"r", path.encode()))
say("fopen a", lambda: fopen(b"a"))
say("fopen r+", lambda: fopen(b"r+"))
for flags in "O_WRONLY", "O_RDWR", "O_TRUNC", "O_CREAT", "O_DIRECTORY":
    say(flags, lambda: os.read(os.open(path, getattr(os, flags)), 10))
say("excl", lambda: os.open(path, os.O_CREAT | os.O_EXCL))
say("size", lambda: os.stat(path).st_size == os.lstat(path).st_size == len(read()))
for mode in os.F_OK, os.R_OK, os.W_OK, os.X_OK: say("access %d" % mode, lambda: os.access(path, mode))
say("cloexec", lambda: os.get_inheritable(os.open(path, os.O_RDONLY)))
say("fds", lambda: sorted(os.listdir("/proc/self/fd"), key=int)[:0])
before = len(os.listdir("/proc/self/fd"))
for i in range(50): os.stat(path), read(), os.access(path, 4)
say("left", lambda: len(os.listdir("/proc/self/fd")) - before)
if os.getuid() == 0:
    os.chroot("/proc/self/fdinfo")
    os.chdir("/")
    os.setuid(65534)
    say("far away", read)
`
  const options = ['--ip', '10.7.0.5', '--dns', '10.7.0.1', '--dns', 'fe80::1']
  const { stdout, stderr } = await iothRun([...options, 'python3', '-c', text], { env })
  t.equal(stderr, '')
  const conf = 'nameserver 10.7.0.1\nnameserver fe80::1%eth0\n'
  const bytes = `b'${conf.replaceAll('\n', '\\n')}'`
  t.strictSame(stdout.split('\n'), [
    ...`read ${conf}`.split('\n'),
    `fopen ${bytes}`,
    `freopen ${bytes}`,
    'fopen a EROFS',
    'fopen r+ EROFS',
    'O_WRONLY EROFS',
    'O_RDWR EROFS',
    'O_TRUNC EROFS',
    "O_CREAT b'nameserver'",
    'O_DIRECTORY ENOTDIR',
    'excl EEXIST',
    'size True',
    'access 0 True',
    'access 4 True',
    'access 2 False',
    'access 1 False',
    'cloexec False',
    'fds []',
    'left 0',
    ...(process.getuid!() === 0 ? `far away ${conf}`.split('\n') : []),
    '',
  ])
})

t.test(
  'a look-up outlives the stack’s thread, and the end of another that waits',
  { skip },
  async t => {
    const { lab: network } = await lab(t)
    Object.assign(network.env, { IOTH_FAULTS: '1' })
    const slow = ['--dns', '10.7.0.99', '--dns', '10.7.0.1', '--dns-option', 'timeout:3']
    const { program } = network.run(
      ...['--ip', '10.7.0.5/24', ...slow, 'python3', '-u', '-c'],
      `${GAI}
import os, signal
child = os.fork()
print("asking")
print(os.getpid() > 0 and ask("web.lab" if child else "four.lab")[0])
if child:
    print(os.waitpid(child, 0)[1], ask("four.lab")[0])`,
    )
    await program.says(/asking\s*asking\n/)
    const stack = await stackServerOf(network.env, program.pid)
    t.equal(injectFault(stack, 'throw'), 0)
    const { stdout } = await program.ends(30_000)
    t.strictSame(stdout.split('\n').slice(2).sort(), [
      '',
      "0 ['10.7.0.4']",
      "['10.7.0.4']",
      "['10.7.0.8', '2001:db8::8']",
    ])
  },
)
