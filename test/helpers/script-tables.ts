// Names that scripts use for numbers.
import * as errnos from '../../src/base/errno.ts'

type TypeCode = readonly [type: number, code: number]
/** errno and hardness as the network layer has them; type and code of either family. */
export const ICMP: Record<
  string,
  readonly [errno: number, hard: boolean, v4: TypeCode, v6: TypeCode]
> = {
  net_unreachable: [errnos.ENETUNREACH, false, [3, 0], [1, 0]],
  host_unreachable: [errnos.EHOSTUNREACH, false, [3, 1], [1, 3]],
  proto_unreachable: [errnos.ENOPROTOOPT, true, [3, 2], [4, 1]],
  port_unreachable: [errnos.ECONNREFUSED, true, [3, 3], [1, 4]],
  frag_needed: [errnos.EMSGSIZE, false, [3, 4], [2, 0]],
  admin_prohibited: [errnos.EHOSTUNREACH, true, [3, 13], [1, 1]],
  time_exceeded: [errnos.EHOSTUNREACH, false, [11, 0], [3, 0]],
}

/** Offset and size in struct tcp_info (linux/tcp.h). */
export const TCP_INFO: Record<string, readonly [at: number, size: number]> = {
  state: [0, 1],
  ca_state: [1, 1],
  retransmits: [2, 1],
  probes: [3, 1],
  backoff: [4, 1],
  options: [5, 1],
  wscale: [6, 1],
  rto: [8, 4],
  ato: [12, 4],
  snd_mss: [16, 4],
  rcv_mss: [20, 4],
  unacked: [24, 4],
  sacked: [28, 4],
  lost: [32, 4],
  retrans: [36, 4],
  last_data_sent: [44, 4],
  last_data_recv: [52, 4],
  last_ack_recv: [56, 4],
  pmtu: [60, 4],
  rcv_ssthresh: [64, 4],
  rtt: [68, 4],
  rttvar: [72, 4],
  snd_ssthresh: [76, 4],
  snd_cwnd: [80, 4],
  advmss: [84, 4],
  reordering: [88, 4],
  rcv_rtt: [92, 4],
  rcv_space: [96, 4],
  total_retrans: [100, 4],
  pacing_rate: [104, 8],
  bytes_acked: [120, 8],
  bytes_received: [128, 8],
  segs_out: [136, 4],
  segs_in: [140, 4],
  notsent_bytes: [144, 4],
  min_rtt: [148, 4],
  data_segs_in: [152, 4],
  data_segs_out: [156, 4],
  delivered: [192, 4],
  delivered_ce: [196, 4],
  bytes_sent: [200, 8],
  bytes_retrans: [208, 8],
  dsack_dups: [216, 4],
  reord_seen: [220, 4],
  rcv_ooopack: [224, 4],
  snd_wnd: [228, 4],
  total_rto: [240, 2],
}
