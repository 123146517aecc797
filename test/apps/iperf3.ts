// iperf3, as client and as server: TCP and UDP, both directions, both families. What it measures is not looked at but for
// whether everything went and no datagram was lost.
import t, { type Test } from 'tap'

import { runtime } from '../helpers/ioth-run.ts'
import { iothStart } from '../helpers/program.ts'

const env = runtime(t)
const SERVER = ['--ip', '10.0.0.5', '--ip', 'fd00::5']
const CLIENT = ['--ip', '10.0.0.6', '--ip', 'fd00::6']

interface Sums {
  readonly bytes: number
  readonly packets?: number
  readonly lost_packets?: number
}

/** One run against a server that serves one client; iperf3's own account of it. */
async function run(t: Test, to: string, ...words: string[]) {
  const server = iothStart(t, [...SERVER, 'iperf3', '-s', '-1', '--forceflush'], { env })
  await server.says(/Server listening/)
  const client = iothStart(t, [...CLIENT, 'iperf3', '-c', to, '-J', ...words], { env })
  const { status, stdout, stderr } = await client.ends(30_000)
  t.equal(status, 0, `iperf3 ends well ${stderr}`)
  t.match(await server.ends(), { status: 0 })
  const { end, error } = JSON.parse(stdout) as { end: Record<string, Sums>; error?: string }
  t.equal(error, undefined)
  return end
}

for (const [name, to, ...words] of [
  ['TCP', '10.0.0.5'],
  ['TCP, from the server', '10.0.0.5', '-R'],
  ['TCP, four streams', '10.0.0.5', '-P', '4'],
  ['TCP, both ways', '10.0.0.5', '--bidir'],
  ['TCP over IPv6', 'fd00::5'],
] as const)
  t.test(name, async t => {
    const end = await run(t, to, '-n', '20M', ...words)
    // Both ways share the amount. The server counts what it had read when it hears that the client has sent all.
    t.ok(end.sum_sent!.bytes >= 9 << 20, 'all of it was sent')
    t.ok(end.sum_received!.bytes >= 5 << 20, 'and came')
  })

for (const [name, to, ...words] of [
  ['UDP', '10.0.0.5'],
  ['UDP, from the server', '10.0.0.5', '-R'],
  ['UDP, large datagrams', '10.0.0.5', '-l', '60000'],
  ['UDP over IPv6', 'fd00::5'],
] as const)
  t.test(name, async t => {
    const end = await run(t, to, '-u', '-b', '20M', '-n', '2M', ...words)
    t.equal(end.sum!.lost_packets, 0, 'no datagram is lost')
    t.ok(end.sum!.packets! > 30)
  })
