// Network interfaces of the kernel whose other end is a descriptor (tun(4)).
import { constants, openSync } from 'node:fs'

import { ENAMETOOLONG } from '../base/errno.ts'
import * as libc from './libc.ts'

export const TUN_DEVICE = '/dev/net/tun'

const TUNSETIFF = 0x400454ca
const TUNSETOFFLOAD = 0x400454d0
const TUNSETVNETHDRSZ = 0x400454d8
const SIOCGIFMTU = 0x8921

const IFF_TAP = 0x0002
const IFF_NO_PI = 0x1000
const IFF_VNET_HDR = 0x4000

export const TUN_F_CSUM = 0x01
export const TUN_F_TSO4 = 0x02
export const TUN_F_TSO6 = 0x04
export const TUN_F_TSO_ECN = 0x08
export const TUN_F_USO4 = 0x20
export const TUN_F_USO6 = 0x40

/** struct ifreq: the name, then what is asked. */
const IFNAMSIZ = 16
const IFREQ_SIZE = 40

/** The device, non-blocking. Throws as openSync() does. */
export const openTun = () => openSync(TUN_DEVICE, constants.O_RDWR | constants.O_NONBLOCK)

/**
 * Makes `fd` the other end of the Ethernet interface `name`, which is made if there is none; frames come and go with
 * `headerSize` bytes of virtio_net_hdr before them. 0 or a negative errno.
 */
export function attachTap(fd: number, name: string, headerSize: number): number {
  if (!putIfreq(name)) return -ENAMETOOLONG
  libc.scratchView.setUint16(IFNAMSIZ, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, true)
  const r = libc.ioctl(fd, TUNSETIFF, libc.scratch)
  if (r < 0) return r
  libc.scratchView.setInt32(0, headerSize, true)
  return libc.ioctl(fd, TUNSETVNETHDRSZ, libc.scratch)
}

/** What the interface may leave to us: TUN_F_*. 0 or a negative errno. */
export const setOffload = (fd: number, features: number) => libc.ioctl(fd, TUNSETOFFLOAD, features)

/** The interface's MTU, or a negative errno. */
export function interfaceMtu(name: string): number {
  if (!putIfreq(name)) return -ENAMETOOLONG
  const socket = libc.socket(libc.AF_UNIX, libc.SOCK_DGRAM | libc.SOCK_CLOEXEC, 0)
  if (socket < 0) return socket
  const r = libc.ioctl(socket, SIOCGIFMTU, libc.scratch)
  libc.close(socket)
  return r < 0 ? r : libc.scratchView.getInt32(IFNAMSIZ, true)
}

function putIfreq(name: string): boolean {
  const bytes = Buffer.from(name)
  if (bytes.length >= IFNAMSIZ) return false
  libc.scratchBytes.fill(0, 0, IFREQ_SIZE)
  libc.scratchBytes.set(bytes)
  return true
}
