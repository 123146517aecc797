import { readFileSync } from 'node:fs'
import t from 'tap'

import { UserError } from '../../src/base/user-error.ts'
import type { Network } from '../../src/plug/network.ts'
import { random } from '../helpers/random.ts'
import { buildPlug, plugOpener, portOf } from '../../src/plug/open.ts'

const joined: string[] = []
const port = { memfd: -1, ringSize: 0, mtu: 1500, doorbell: -1, control: 77 }
const context = {
  runtime: () => '/run/ioth',
  join: async ({ name }: Network) => {
    joined.push(name)
    return port
  },
}

async function told(act: () => unknown): Promise<string> {
  try {
    await act()
  } catch (error) {
    if (error instanceof UserError) return error.message
    throw error
  }
  return 'nothing'
}

t.test('plugOpener() knows where a VNL ends, and joins when it is opened', async t => {
  const opener = plugOpener(`fault://loss=1{pcap://${t.testdir()}/x{switch://lab}}`, context)
  t.equal(opener.network?.directory, '/run/ioth/net/lab')
  t.same(joined, [])
  const numbers = await opener.open()
  t.same(joined, ['lab'])
  t.equal(portOf(numbers)?.control, 77)
  t.equal(plugOpener('fault://{null://}', context).network, undefined)
  t.equal(portOf(await plugOpener('null://', context).open()), undefined)
  t.equal(portOf(undefined), undefined)
})

for (const [vnl, why] of [
  ['tapp://x', 'no such plug (switch tap null fault pcap)'],
  ['toString://x', 'no such plug (switch tap null fault pcap)'],
  ['null://x', 'it has no address (null://)'],
  ['null://{null://}', 'a null wraps no other plug'],
  ['fault://loss=1', 'it wraps another plug, in braces (fault://…{switch://lab})'],
  ['pcap:///tmp/x', 'it wraps another plug, in braces (pcap://…{switch://lab})'],
  ['pcap://{null://}', 'a file is wanted (pcap:///tmp/x.pcap{switch://lab})'],
  ['pcap:///tmp/x[snap=0]{null://}', '"snap=0" makes no sense (snap=96, 262144 at most)'],
  ['pcap:///tmp/x[swap=1]{null://}', 'no such option "swap" (snap)'],
  ['tap://', "an interface's name has 1 to 15 characters, none of them a space, /, : or %"],
  ['tap://0123456789abcdef', "an interface's name has 1 to 15 characters, none of them a space, /, : or %"], // prettier-ignore
  ['tap://tap%d', "an interface's name has 1 to 15 characters, none of them a space, /, : or %"],
  ['tap://a b', "an interface's name has 1 to 15 characters, none of them a space, /, : or %"],
  ['tap://x[mtu=3]', 'a tap has no option "mtu"'],
  ['tap://x{null://}', 'a tap wraps no other plug'],
] as const)
  t.test(`plugOpener() of "${vnl}" is refused`, async t =>
    t.equal(await told(() => plugOpener(vnl, context)), `Cannot open plug "${vnl}": ${why}`),
  )

t.test('seed 9: whatever a VNL says, it is opened or refused in one sentence', async t => {
  const next = random(9)
  const pieces = 'switch:// tap:// null:// fault:// pcap:// x:// { } { } [ ] / , = % + . lab tap0 delay=1 loss=2 seed=3 rate=1g in.dup=4 snap=9 é \0 \n'.split(' ') // prettier-ignore
  let [opened, refused] = [0, 0]
  for (let i = 0; i < 20_000; i++) {
    const text = Array.from({ length: next() % 8 }, () => pieces[next() % pieces.length]).join('')
    const said = await told(() => plugOpener(text, context))
    if (said === 'nothing') opened++
    else if (said.startsWith('Cannot open plug "')) refused++
    else t.fail(said)
  }
  t.ok(opened > 50 && refused > 10_000, `${opened} opened, ${refused} refused`)
})

t.test('a file that cannot be made is named', async t => {
  const vnl = 'pcap:///no/such/dir/x{null://}'
  t.equal(
    await told(() => plugOpener(vnl, context).open()),
    `Cannot open plug "${vnl}": cannot write "/no/such/dir/x": no such file or directory`,
  )
})

t.test('a plug opened once more goes on in its file', async t => {
  const file = `${t.testdir()}/x.pcap`
  const opener = plugOpener(`pcap://${file}{null://}`, context)
  for (let i = 0; i < 2; i++) {
    const plug = buildPlug(await opener.open(), () => 0)
    const at = plug.sink.open(60)
    plug.sink.close(60, 0, 0, 0)
    t.ok(at >= 0)
    plug.close()
  }
  t.equal(readFileSync(file).length, 24 + 2 * (16 + 60))
})

t.test('null:// takes everything and gives nothing', async t => {
  const plug = buildPlug(await plugOpener('null://', context).open(), () => 0)
  t.ok(plug.sink.open(65_549) >= 0)
  plug.sink.close(65_549, 1448, 34, 16)
  const handler = { frameArrives: () => t.fail('a frame'), stationGone: () => t.fail('a notice') }
  t.equal(plug.receive(handler, 10, 0), 0)
  t.ok(plug.arm())
  plug.wake()
  plug.flush()
  t.equal(plug.next, Infinity)
  t.notOk(plug.broken)
  plug.close()
})
