// A socket of a program's, as sock_diag(7) and /proc/net/tcp know it.
import type { Address } from '../wire/address.ts'

/** enum in linux/tcp_states.h; TCP's, and for the others ESTABLISHED (connected) and CLOSE. */
export const TCP_ESTABLISHED = 1
export const TCP_CLOSE = 7
export const TCP_LISTEN = 10

export interface SocketView {
  /** IPPROTO_*. */
  readonly protocol: number
  /** AF_INET or AF_INET6: the socket's. */
  readonly family: number
  /** TCP_*. */
  readonly state: number
  readonly local: Address
  readonly localPort: number
  /** Unspecified, and 0: there is none. */
  readonly remote: Address
  readonly remotePort: number
  /** SO_BINDTODEVICE; 0: any. */
  readonly device: number
  /** Text that waits to be read; of a listener: connections that wait. */
  readonly receiveQueue: number
  /** Text not acknowledged yet; of a listener: its backlog. */
  readonly sendQueue: number
  /** SO_RCVBUF and SO_SNDBUF. */
  readonly receiveBuffer: number
  readonly sendBuffer: number
  readonly uid: number
  /** The number in `socket:[…]`; 0: not known. */
  readonly inode: number
  /** Two words that tell it from all others that there were. */
  readonly cookie: readonly [number, number]
  /** 1 for retransmission, 2 keep-alive, 3 TIME-WAIT, 4 zero window; 0: none. Its end is `expires` ms away. */
  readonly timer: number
  readonly expires: number
  readonly retransmissions: number
  readonly v6only: boolean
  /** SHUT_RD is 1, SHUT_WR 2. */
  readonly shutdown: number
  readonly drops: number
  /** struct tcp_info, and the name of the congestion control; undefined: not TCP, or not connected. */
  readonly info: (() => Uint8Array) | undefined
  readonly congestion: string | undefined
}
