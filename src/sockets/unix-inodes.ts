// Which AF_UNIX sockets are programs' ends of ours: unix_diag tells of each socket in this network namespace its name and its peer,
// by inode (sock_diag(7)). Where the kernel has no unix_diag, or a program lives in another namespace, nothing is known.
import * as libc from '../ffi/libc.ts'
import { Stage } from '../ffi/stage.ts'
import {
  NLMSG_DONE,
  NLMSG_ERROR,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  attributesIn,
  concat,
  i32s,
  messagesIn,
  netlinkMessage,
  u32In,
  u8s,
  viewOf,
} from '../wire/netlink.ts'

export interface Inodes {
  /** By name, `@` for abstract. */
  readonly named: ReadonlyMap<string, number>
  /** The peer of each that is connected. */
  readonly peerOf: ReadonlyMap<number, number>
}

const AF_NETLINK = 16
const NETLINK_SOCK_DIAG = 4
const SOCK_DIAG_BY_FAMILY = 20
const SOCK_RAW = 3
const UDIAG_SHOW_NAME_AND_PEER = 1 | 4
/** struct unix_diag_msg. */
const UNIX_DIAG_MSG_LEN = 16
const UNIX_DIAG_NAME = 0
const UNIX_DIAG_PEER = 2
const TCP_LISTEN = 10
const PART = 1 << 16

let stage: Stage | undefined

export function unixInodes(): Inodes {
  const named = new Map<string, number>()
  const peerOf = new Map<number, number>()
  const fd = libc.socket(AF_NETLINK, SOCK_RAW | libc.SOCK_CLOEXEC, NETLINK_SOCK_DIAG)
  if (fd < 0) return { named, peerOf }
  stage ??= new Stage(PART)
  const question = concat([
    u8s(libc.AF_UNIX, 0, 0, 0),
    i32s(-1, 0, UDIAG_SHOW_NAME_AND_PEER, -1, -1),
  ])
  const request = netlinkMessage(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, 0, question)
  stage.bytes.set(request)
  let more = libc.send(fd, stage.address, request.length, libc.MSG_NOSIGNAL) === request.length
  while (more) {
    const n = libc.recv(fd, stage.address, PART, libc.MSG_DONTWAIT)
    more = n > 0
    if (!more) break
    for (const { type, body } of messagesIn(stage.bytes.slice(0, n)))
      if (type === NLMSG_DONE || type === NLMSG_ERROR) more = false
      else note(body, named, peerOf)
  }
  libc.close(fd)
  return { named, peerOf }
}

function note(body: Uint8Array, named: Map<string, number>, peerOf: Map<number, number>): void {
  if (body.length < UNIX_DIAG_MSG_LEN) return
  const inode = viewOf(body).getUint32(4, true)
  const attributes = attributesIn(body, UNIX_DIAG_MSG_LEN)
  const peer = u32In(attributes.get(UNIX_DIAG_PEER))
  const name = attributes.get(UNIX_DIAG_NAME)
  if (peer !== undefined && peer !== 0) peerOf.set(inode, peer)
  // What a listener has accepted has its name, too.
  if (name !== undefined && name[0] === 0) {
    const text = `@${Buffer.from(name.subarray(1)).toString('latin1')}`
    if (body[2] === TCP_LISTEN || !named.has(text)) named.set(text, inode)
  }
}
