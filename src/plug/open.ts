// From a VNL to a plug, in two steps. Opening may have to wait, and belongs to a main thread: it gives numbers, descriptors
// among them. Building makes a plug of the numbers, in whichever thread moves the frames.
import { FaultPlug, type FaultNumbers } from './fault.ts'
import { faultParameters } from './fault-parameters.ts'
import { networkOf, type Network } from './network.ts'
import { NullPlug, openNull, type NullNumbers } from './null.ts'
import { PcapFile, PcapPlug, type PcapNumbers } from './pcap.ts'
import type { Plug } from './plug.ts'
import { PortPlug, type PortNumbers } from './port.ts'
import { awaitTap, TapPlug, tapName, type TapNumbers } from './tap.ts'
import { parseVnl, refuse, type Vnl } from './vnl.ts'

/** All that another thread needs to build a plug. */
export type PlugNumbers =
  | { readonly kind: 'switch'; readonly port: PortNumbers }
  | { readonly kind: 'tap'; readonly tap: TapNumbers }
  | { readonly kind: 'null'; readonly null: NullNumbers }
  | { readonly kind: 'fault'; readonly fault: FaultNumbers; readonly inner: PlugNumbers }
  | { readonly kind: 'pcap'; readonly pcap: PcapNumbers; readonly inner: PlugNumbers }

export interface PlugContext {
  /** The user's runtime directory. */
  readonly runtime: () => string
  /** Plugs into a switch; `switch` knows how. */
  readonly join: (network: Network) => Promise<PortNumbers>
}

/** A VNL that holds what it should. */
export interface PlugOpener {
  /** The network at its end, if that is a switch's. */
  readonly network: Network | undefined
  /** Stations may be at its end whose addresses no registry knows: a switch of ours keeps one, and null:// has no stations. */
  readonly strangers: boolean
  /** Opens it, or opens it once more when it was lost. Throws a UserError. */
  open(): Promise<PlugNumbers>
}

type Scheme = (vnl: Vnl, context: PlugContext) => PlugOpener

const schemes: Record<string, Scheme> = {
  switch: (vnl, { runtime, join }) => {
    const network = networkOf(plain(vnl), runtime)
    const open = async () => ({ kind: 'switch' as const, port: await join(network) })
    return { network, strangers: false, open }
  },
  tap: vnl => {
    const name = tapName(plain(vnl))
    const open = async () => ({ kind: 'tap' as const, tap: await awaitTap(vnl.text, name) })
    return { network: undefined, strangers: true, open }
  },
  null: vnl => {
    if (plain(vnl).address !== '') refuse(vnl.text, 'it has no address (null://)')
    const open = async () => ({ kind: 'null' as const, null: openNull() })
    return { network: undefined, strangers: false, open }
  },
  fault: (vnl, context) => {
    const fault = faultParameters(vnl)
    return around(vnl, context, inner => ({ kind: 'fault', fault, inner }))
  },
  pcap: (vnl, context) => {
    const file = new PcapFile(vnl)
    return around(vnl, context, inner => ({ kind: 'pcap', pcap: file.open(), inner }))
  },
}

/** Checks all of a VNL, opens nothing. Throws a UserError. */
export function plugOpener(text: string, context: PlugContext): PlugOpener {
  return openerOf(parseVnl(text), context)
}

function openerOf(vnl: Vnl, context: PlugContext): PlugOpener {
  if (!Object.hasOwn(schemes, vnl.scheme))
    refuse(vnl.text, `no such plug (${Object.keys(schemes).join(' ')})`)
  return schemes[vnl.scheme](vnl, context)
}

/** The plug. `clock`: ms that do not go back, the `now` of all its calls. */
export function buildPlug(numbers: PlugNumbers, clock: () => number): Plug {
  switch (numbers.kind) {
    case 'switch':
      return new PortPlug(numbers.port)
    case 'tap':
      return new TapPlug(numbers.tap, clock)
    case 'null':
      return new NullPlug(numbers.null)
    case 'fault':
      return new FaultPlug(numbers.fault, buildPlug(numbers.inner, clock), clock)
    case 'pcap':
      return new PcapPlug(numbers.pcap, buildPlug(numbers.inner, clock))
  }
}

/** The switch port at the end, if there is one. */
export function portOf(numbers: PlugNumbers | undefined): PortNumbers | undefined {
  while (numbers !== undefined && 'inner' in numbers) numbers = numbers.inner
  return numbers?.kind === 'switch' ? numbers.port : undefined
}

function around(
  vnl: Vnl,
  context: PlugContext,
  wrap: (inner: PlugNumbers) => PlugNumbers,
): PlugOpener {
  if (vnl.inner === undefined)
    refuse(vnl.text, `it wraps another plug, in braces (${vnl.scheme}://…{switch://lab})`)
  const inner = openerOf(vnl.inner, context)
  return { ...inner, open: async () => wrap(await inner.open()) }
}

/** A plug that wraps none. */
function plain(vnl: Vnl): Vnl {
  if (vnl.inner !== undefined) refuse(vnl.text, `a ${vnl.scheme} wraps no other plug`)
  return vnl
}
