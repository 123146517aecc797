// What /sys/class/net has of each interface (Documentation/ABI/testing/sysfs-class-net*), as Linux has it of a virtual
// one: attributes of a line each, and counters in statistics/.
import type { Stack } from '../stack/stack.ts'
import { IFF_LOOPBACK, IFF_UP, type InterfaceView, interfaces } from './interfaces.ts'

/** Where Linux keeps those of no device; /sys/class/net has links that lead there. */
export const DEVICES = 'devices/virtual/net'
export const CLASS = 'class/net'

const NET_NAME_USER = 3
const NET_ADDR_SET = 3
const TX_QUEUE_LENGTH = 1000

const COUNTERS = [
  'collisions multicast rx_bytes rx_compressed rx_crc_errors rx_dropped rx_errors rx_fifo_errors',
  'rx_frame_errors rx_length_errors rx_missed_errors rx_nohandler rx_over_errors rx_packets',
  'tx_aborted_errors tx_bytes tx_carrier_errors tx_compressed tx_dropped tx_errors tx_fifo_errors',
  'tx_heartbeat_errors tx_packets tx_window_errors',
].flatMap(line => line.split(' '))

/** By interface, its files: a path below its directory, and the text. */
export function sysNet(stack: Stack): Map<string, Map<string, string>> {
  return new Map(interfaces(stack).map(view => [view.name, filesOf(view)]))
}

function filesOf(view: InterfaceView): Map<string, string> {
  const files = new Map<string, string>()
  for (const [name, value] of Object.entries(attributes(view))) files.set(name, `${value}\n`)
  files.set('uevent', `INTERFACE=${view.name}\nIFINDEX=${view.index}\n`)
  const known: Record<string, number> = counters(view)
  for (const name of COUNTERS) files.set(`statistics/${name}`, `${known[name] ?? 0}\n`)
  return files
}

function attributes(view: InterfaceView): Record<string, string | number> {
  const loopback = (view.flags & IFF_LOOPBACK) !== 0
  const up = (view.flags & IFF_UP) !== 0
  return {
    addr_assign_type: loopback ? 0 : NET_ADDR_SET,
    addr_len: view.address.length,
    address: text(view.address),
    broadcast: text(view.broadcast),
    carrier: Number(view.carrier),
    carrier_changes: 0,
    carrier_down_count: 0,
    carrier_up_count: 0,
    dev_id: '0x0',
    dev_port: 0,
    dormant: 0,
    // Of a cable whose other end is memory nobody can say a speed.
    ...(loopback ? {} : { duplex: 'unknown', speed: -1 }),
    flags: `0x${(view.flags & 0xffff & ~IFF_RUNNING_BITS).toString(16)}`,
    gro_flush_timeout: 0,
    ifalias: '',
    ifindex: view.index,
    iflink: view.index,
    link_mode: 0,
    mtu: view.mtu,
    name_assign_type: NET_NAME_USER,
    napi_defer_hard_irqs: 0,
    netdev_group: 0,
    operstate: loopback ? 'unknown' : up && view.carrier ? 'up' : 'down',
    proto_down: 0,
    testing: 0,
    threaded: 0,
    tx_queue_len: TX_QUEUE_LENGTH,
    type: view.type,
  }
}

/** sysfs shows dev->flags, without what is derived from the state: IFF_RUNNING and above. */
const IFF_RUNNING_BITS = 0x40

function counters({ counters: c }: InterfaceView): Record<string, number> {
  return {
    multicast: c.multicastIn,
    rx_bytes: c.bytesIn,
    rx_dropped: c.droppedIn,
    rx_errors: c.errorsIn,
    rx_packets: c.packetsIn,
    tx_bytes: c.bytesOut,
    tx_dropped: c.droppedOut,
    tx_packets: c.packetsOut,
  }
}

const text = (mac: Uint8Array): string =>
  Array.from(mac, byte => byte.toString(16).padStart(2, '0')).join(':')
