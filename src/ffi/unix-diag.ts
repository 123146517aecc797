// sock_diag(7): what the kernel knows of an AF_UNIX socket and no call on it tells.
import { fstatSync } from 'node:fs'

import * as libc from './libc.ts'

const NETLINK_SOCK_DIAG = 4
const SOCK_DIAG_BY_FAMILY = 20
const NLM_F_REQUEST = 1
const UDIAG_SHOW_PEER = 4
const UNIX_DIAG_PEER = 2
/** struct nlmsghdr and struct unix_diag_req; struct nlmsghdr and struct unix_diag_msg. */
const REQUEST = 16 + 24
const HEAD = 16 + 16
const SPACE = 4096

/**
 * Is the other end of a connected socket open yet? Once this end was shut down for both directions nothing else tells.
 * One that waits to be accepted does not count as open. Where the kernel has no unix_diag: true.
 */
export const peerIsOpen = (fd: number): boolean => peerOf(fd) !== 0

let tells: boolean | undefined

/** Has the kernel unix_diag? Asked of a connected socket, once. */
export const tellsOfPeers = (fd: number): boolean => (tells ??= peerOf(fd) !== undefined)

/** The inode of the other end's; 0: there is none, undefined: it is not told. */
function peerOf(fd: number): number | undefined {
  const netlink = libc.socket(
    libc.AF_NETLINK,
    libc.SOCK_DGRAM | libc.SOCK_CLOEXEC,
    NETLINK_SOCK_DIAG,
  )
  if (netlink < 0) return
  putRequest(fstatSync(fd).ino)
  const sent = libc.send(netlink, libc.scratch, REQUEST, libc.MSG_DONTWAIT)
  const n = sent < 0 ? sent : libc.recv(netlink, libc.scratch, SPACE, libc.MSG_DONTWAIT)
  libc.close(netlink)
  return peerInode(n)
}

function putRequest(inode: number): void {
  const { scratchView: view } = libc
  libc.scratchBytes.fill(0, 0, REQUEST)
  view.setUint32(0, REQUEST, true)
  view.setUint16(4, SOCK_DIAG_BY_FAMILY, true)
  view.setUint16(6, NLM_F_REQUEST, true)
  view.setUint8(16, libc.AF_UNIX)
  view.setUint32(20, 0xffffffff, true) // in any state
  view.setUint32(24, inode, true)
  view.setUint32(28, UDIAG_SHOW_PEER, true)
  view.setUint32(32, 0xffffffff, true) // INET_DIAG_NOCOOKIE, twice
  view.setUint32(36, 0xffffffff, true)
}

/** In an answer of `n` bytes: 0, there is none; undefined, it does not say. */
function peerInode(n: number): number | undefined {
  const { scratchView: view } = libc
  if (n < HEAD || view.getUint16(4, true) !== SOCK_DIAG_BY_FAMILY) return
  const end = Math.min(n, view.getUint32(0, true))
  for (let at = HEAD; at + 8 <= end;) {
    const length = view.getUint16(at, true)
    if (view.getUint16(at + 2, true) === UNIX_DIAG_PEER) return view.getUint32(at + 4, true)
    if (length < 4) return
    at += (length + 3) & ~3
  }
  return
}
