// ioth plug: a cable between any two plugs, in this process, until it is told to end.
import { writeSync } from 'node:fs'
import { setImmediate as turnOfLibuv, setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'

import { UserError } from '../src/base/user-error.ts'
import { FaultPlug } from '../src/plug/fault.ts'
import { buildPlug, plugOpener, type PlugOpener } from '../src/plug/open.ts'
import { PatchCable } from '../src/plug/patch-cable.ts'
import { PcapPlug } from '../src/plug/pcap.ts'
import type { Plug } from '../src/plug/plug.ts'
import { TapPlug } from '../src/plug/tap.ts'
import { runtimeDirectory } from '../src/server/runtime.ts'
import { joinNetwork } from '../src/switch/start.ts'
import { Failure } from './exit.ts'

const USAGE = `usage: ioth plug [--verbose] VNL VNL

A cable between two plugs, until SIGTERM, SIGINT or SIGHUP ends it.

  switch://NAME, or a directory   a network of ioth
  tap://NAME                      a network interface of the kernel
  null://                         nobody
  fault://WORDS{VNL}              a plug behind a faulty link; the words, with commas between them:
                                    delay=20  delay=100+50  delay=100+50N   ms (uniform, normal)
                                    loss=1 lostburst=3 dup=1 reorder=25 corrupt=0.1   percent, frames
                                    damage=8   bits of a megabyte     nofifo   frames may overtake
                                    rate=100mbit queue=64k speed=1gbit mtu=1400 seed=7
                                  out. or in. before a word: one direction only
  pcap://FILE[snap=96]{VNL}       a plug, and a file of what crosses it

  --verbose   say on standard error what became of the frames
  --help      print that and end
`

/** How long the loop keeps the thread from libuv, which listens for signals, ms. */
const SLICE_MS = 500
const RETRY_MS = 200

const clock = () => performance.now()

export async function plug(args: string[]): Promise<void> {
  const { help, verbose, vnls } = parse(args)
  if (help) return void writeSync(1, USAGE)
  let ended = false
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(signal, () => {
      ended = true
    })
  const openers = vnls.map(open)
  const [one, other] = openers.map(({ network }) => network?.directory)
  // Every broadcast would go round for ever.
  if (one !== undefined && one === other)
    throw new Failure(`cannot connect network "${openers[0].network!.name}" with itself`)
  const plugs: Plug[] = []
  for (const opener of openers) plugs.push(buildPlug(await opener.open(), clock))
  let cable = new PatchCable(plugs[0], plugs[1], clock)
  const tell = (line: string) => verbose && writeSync(2, `ioth plug: ${line}\n`)
  tell(`${vnls.join(' and ')} are connected`)
  for (;;) {
    await turnOfLibuv()
    if (ended) break
    const lost = cable.run(SLICE_MS)
    if (lost === undefined) continue
    const side = plugs.indexOf(lost)
    if (openers[side].network === undefined)
      throw new Failure(`the other end of "${vnls[side]}" is gone`)
    tell(`the switch of "${vnls[side]}" is gone`)
    report(tell, vnls, cable, plugs)
    cable.close()
    lost.close()
    const again = await reopen(openers[side], () => ended)
    if (again === undefined) return
    plugs[side] = again
    cable = new PatchCable(plugs[0], plugs[1], clock)
  }
  report(tell, vnls, cable, plugs)
  for (const plug of plugs) plug.close()
}

function parse(args: string[]) {
  const options = { verbose: { type: 'boolean' }, help: { type: 'boolean' } } as const
  try {
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
    const { help = false, verbose = false } = values
    if (!help && positionals.length !== 2)
      throw new Failure(
        `plug takes two plugs, ${positionals.length} are given (ioth plug switch://lab tap://tap0)`,
      )
    return { help, verbose, vnls: positionals }
  } catch (error) {
    if (error instanceof Failure) throw error
    throw new Failure((error as Error).message)
  }
}

const open = (vnl: string): PlugOpener =>
  plugOpener(vnl, {
    runtime: runtimeDirectory,
    join: network => joinNetwork(network, { pid: process.pid, command: 'ioth plug' }),
  })

/** A switch that was killed is started again by the first who needs it. */
async function reopen(opener: PlugOpener, ended: () => boolean): Promise<Plug | undefined> {
  while (!ended()) {
    try {
      return buildPlug(await opener.open(), clock)
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      await delay(RETRY_MS)
    }
  }
  return undefined
}

function report(tell: (line: string) => void, vnls: string[], cable: PatchCable, plugs: Plug[]) {
  const ways = [cable.there, cable.back]
  for (const [i, way] of ways.entries()) {
    const { frames, bytes, tooLong, malformed, overrun } = way
    tell(
      `from "${vnls[i]}": ${frames} frames, ${bytes} bytes; lost: ${tooLong} too long, ${malformed} malformed, ${overrun} without room`,
    )
  }
  for (const [i, plug] of plugs.entries()) describe(tell, vnls[i], plug)
}

function describe(tell: (line: string) => void, vnl: string, plug: Plug): void {
  if (plug instanceof TapPlug)
    tell(`"${vnl}": ${plug.malformed} malformed, ${plug.sink.refused} refused by the kernel`)
  if (plug instanceof PcapPlug) {
    const { frames, failed } = plug.capture
    tell(`"${vnl}": ${frames} frames written${failed === 0 ? '' : `, then errno ${failed}`}`)
  }
  if (plug instanceof FaultPlug) {
    tell(`"${vnl}": seed ${plug.parameters.seed}`)
    for (const way of ['out', 'in'] as const) {
      const l = plug[way]
      tell(
        `"${vnl}" ${way}: ${l.entered} frames, ${l.lost} lost, ${l.tooLong} too long, ${l.queueFull} over the queue, ` +
          `${l.store.overrun} without memory, ${l.duplicated} doubled, ${l.reordered} ahead, ${l.damaged} bits damaged`,
      )
    }
  }
  if (plug instanceof FaultPlug || plug instanceof PcapPlug) describe(tell, vnl, plug.inner)
}
