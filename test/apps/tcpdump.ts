// tcpdump, tshark and arping, as Debian has them: what they see of a node's traffic, counted, and dissected by tshark.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import t from 'tap'

import { iothRun, runtime } from '../helpers/ioth-run.ts'
import { iothStart } from '../helpers/program.ts'

t.jobs = 3 // they mostly wait

const env = runtime(t)
const directory = mkdtempSync(join(tmpdir(), 'ioth-tcpdump-'))
t.teardown(() => rmSync(directory, { recursive: true, force: true }))

const PEER = ['--ip', '10.0.0.5', '--ip', 'fd00::5']
/** Where a page is that takes rows of segments. */
const SERVER = ['python3', '-u', '-m', 'http.server', '-d', directory, '80']
/** Frames that a dissector has something against. */
const WRONG = [
  '_ws.malformed',
  ...['ip', 'udp', 'tcp', 'icmp', 'icmpv6'].map(name => `${name}.checksum.status == "Bad"`),
].join(' || ')
const CHECKS = ['ip', 'tcp', 'udp'].flatMap(name => ['-o', `${name}.check_checksum:TRUE`])

const MODES = [
  ['ring', env],
  ['native', { ...env, IOTH_MODE: 'native' }],
] as const

let nodes = 0
const me = () => {
  const n = 10 + nodes++
  return ['--ip', `10.0.0.${n}`, '--ip', `fd00::${n}`]
}

/** Captures while `traffic` runs and until `end`, shell's words. What tcpdump said, and the file. */
async function capture(env: NodeJS.ProcessEnv, words: string, traffic: string, end = 'wait $P') {
  const node = me()
  const file = join(directory, `${node[1]}.pcap`)
  const script = `
    tcpdump -U -w ${file} ${words} 2>${file}.said & P=$!
    until grep -q listening ${file}.said; do sleep 0.05; done
    (${traffic}) >/dev/null && ${end.replaceAll('FILE', file)}
    wait $P; cat ${file}.said`
  const { status, stdout } = await iothRun([...node, 'sh', '-c', script], { env })
  return { status, said: stdout, file }
}

const tshark = (file: string, filter: string): string[] =>
  execFileSync('tshark', ['-n', ...CHECKS, '-r', file, '-Y', filter], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
    .split('\n')
    .filter(Boolean)

t.before(async () => {
  execFileSync('dd', ['if=/dev/urandom', `of=${directory}/page`, 'bs=1k', 'count=300'], {
    stdio: 'ignore',
  })
  const peer = iothStart(t, [...PEER, ...SERVER], { env })
  await peer.says(/Serving/)
})

for (const [mode, env] of MODES) {
  for (const [title, words, traffic, count, filter] of [
    ['-i eth0 icmp', '-i eth0 -c 4 icmp', 'ping -n -c 2 -i 0.2 10.0.0.5', 4, 'icmp'],
    ['-i eth0 arp', '-i eth0 -c 2 arp host 10.0.0.5', 'ping -n -c 1 10.0.0.5', 2, 'arp'],
    [
      '-i eth0 icmp6',
      "-i eth0 -c 2 'icmp6 and (ip6[40] = 128 or ip6[40] = 129)'",
      'ping -n -c 1 fd00::5',
      2,
      'icmpv6.type == 128 || icmpv6.type == 129',
    ],
    ['-i lo', '-i lo -c 2 icmp', 'ping -n -c 1 127.0.0.1', 2, 'eth && icmp'],
    ['-i any', '-i any -c 4 icmp', 'ping -n -c 1 ::1 && ping -n -c 2 10.0.0.5', 4, 'sll && icmp'],
    [
      '-i any, cooked as of old',
      '-i any -y LINUX_SLL -c 2 icmp',
      'ping -n -c 1 10.0.0.5',
      2,
      'sll && icmp',
    ],
  ] as const)
    t.test(`${mode}: tcpdump ${title}`, async t => {
      const { status, said, file } = await capture(env, words, traffic)
      t.equal(status, 0, said)
      t.match(said, `${count} packets captured`)
      t.match(said, '0 packets dropped by kernel')
      t.equal(tshark(file, filter).length, count)
      t.same(tshark(file, WRONG), [])
    })

  t.test(`${mode}: tcpdump tcp port 80: a page, as the wire would have it`, async t => {
    const { said, file } = await capture(
      env,
      '-i eth0 tcp port 80',
      'curl -sf http://10.0.0.5/page',
      // What it has not read yet when it is told to end is not in the file.
      'until [ $(stat -c %s FILE) -gt 307200 ]; do sleep 0.05; done; kill -INT $P',
    )
    const [, captured] = /^(\d+) packets captured/m.exec(said) ?? []
    t.match(said, '0 packets dropped by kernel')
    t.equal(tshark(file, 'frame').length, Number(captured))
    t.equal(tshark(file, 'frame.len > 1514').length, 0)
    t.ok(tshark(file, 'frame.len == 1514').length > 100)
    t.equal(tshark(file, 'http.request.uri == "/page"').length, 1)
    t.same(tshark(file, WRONG), [])
    t.same(tshark(file, 'tcp.analysis.lost_segment'), [], 'none is missing')
  })

  t.test(`${mode}: tshark itself`, async t => {
    const file = join(directory, `${mode}.live`)
    const script = `
      tshark -n -i eth0 -f icmp -c 2 >${file} 2>${file}.said & P=$!
      until grep -q 'Capture started' ${file}.said; do sleep 0.05; done
      until ! kill -0 $P 2>/dev/null; do ping -n -c 1 10.0.0.5 >/dev/null; done
      cat ${file}`
    const { stdout } = await iothRun([...me(), 'sh', '-c', script], { env })
    t.match(stdout, /10\.0\.0\.5 +ICMP 98 Echo \(ping\) request/)
    t.match(stdout, /10\.0\.0\.5 → 10\.0\.0\.\d+ +ICMP 98 Echo \(ping\) reply/)
  })

  t.test(`${mode}: arping`, async t => {
    const { status, stdout } = await iothRun(
      [...me(), 'arping', '-c', '2', '-I', 'eth0', '10.0.0.5'],
      { env },
    )
    t.equal(status, 0, stdout)
    t.match(stdout, 'Received 2 response(s)')
  })
}
