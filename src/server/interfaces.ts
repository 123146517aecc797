// The answer to OP_INTERFACES: struct abi_interfaces and what follows it (preload/abi.h).
import { AF_INET, AF_INET6 } from '../ffi/libc.ts'
import * as L from '../shm/layout.ts'
import type { Stack } from '../stack/stack.ts'
import { type AddressView, type InterfaceView, addresses, interfaces } from '../view/interfaces.ts'

/** `now`: ms of the stack's clock. */
export function interfacesOf(stack: Stack, now: number): Uint8Array {
  const links = interfaces(stack)
  const all = addresses(stack, now)
  const second = L.INTERFACES_SIZE + links.length * L.INTERFACE_SIZE
  const out = new Uint8Array(second + all.length * L.INTERFACE_ADDRESS_SIZE)
  const view = new DataView(out.buffer)
  view.setUint32(L.INTERFACES.interfaces, links.length, true)
  view.setUint32(L.INTERFACES.addresses, all.length, true)
  for (const [i, link] of links.entries())
    putInterface(view, L.INTERFACES_SIZE + i * L.INTERFACE_SIZE, link)
  for (const [i, address] of all.entries())
    putAddress(view, second + i * L.INTERFACE_ADDRESS_SIZE, address)
  return out
}

function putInterface(view: DataView, at: number, link: InterfaceView): void {
  const F = L.INTERFACE
  for (const name of ['index', 'type', 'flags', 'mtu'] as const)
    view.setUint32(at + F[name], link[name], true)
  putBytes(view, at + F.name, Buffer.from(link.name, 'latin1'))
  putBytes(view, at + F.address, link.address)
  putBytes(view, at + F.broadcast, link.broadcast)
  const { counters: c } = link
  const counters = [
    [F.packets_in, c.packetsIn],
    [F.packets_out, c.packetsOut],
    [F.bytes_in, c.bytesIn],
    [F.bytes_out, c.bytesOut],
    [F.errors_in, c.errorsIn],
    [F.dropped_in, c.droppedIn],
    [F.dropped_out, c.droppedOut],
    [F.multicast_in, c.multicastIn],
  ] as const
  for (const [field, n] of counters) view.setBigUint64(at + field, BigInt(n), true)
}

function putAddress(
  view: DataView,
  at: number,
  { index, address, prefixLength, broadcast }: AddressView,
) {
  const F = L.INTERFACE_ADDRESS
  view.setUint32(at + F.index, index, true)
  view.setUint32(at + F.family, address.isV4 ? AF_INET : AF_INET6, true)
  view.setUint32(at + F.prefix, prefixLength, true)
  if (address.isV4) view.setUint32(at + F.addr, address.d)
  else for (let i = 0; i < 4; i++) view.setUint32(at + F.addr + 4 * i, address.word(i))
  if (broadcast !== undefined) view.setUint32(at + F.broadcast, broadcast.d)
}

function putBytes(view: DataView, at: number, bytes: Uint8Array): void {
  for (const [i, byte] of bytes.entries()) view.setUint8(at + i, byte)
}
