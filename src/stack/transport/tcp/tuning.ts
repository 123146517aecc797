// What holds for all connections of a stack: Linux's net.ipv4.tcp_* of one network namespace, same names, same meaning,
// same defaults. What a program may change for a connection of its own begins here, too (options.ts).
import { congestionNamed } from './congestion.ts'
import { DEFAULTS, type TcpSettings } from './options.ts'

export interface TcpTuning {
  /** tcp_congestion_control: a name of congestion.ts. */
  readonly congestion: string
  /** tcp_sack, tcp_timestamps, tcp_window_scaling: do we offer it in a SYN, and agree to it? */
  readonly sack: boolean
  readonly timestamps: boolean
  readonly windowScaling: boolean
  /** tcp_ecn: 0 no ECN (RFC 3168), 1 we ask for it, 2 only if the peer does. */
  readonly ecn: number
  /** Is text for a peer that is far paced (pacing.ts)? On Linux the fq queueing discipline does that. */
  readonly pacing: boolean
  /** initcwnd of a route: the initial window in segments (RFC 6928). */
  readonly initCwnd: number
  /** tcp_slow_start_after_idle: does cwnd end with an idle RTO (RFC 5681 section 4.1)? */
  readonly slowStartAfterIdle: boolean
  /** tcp_rto_min_us, in ms. */
  readonly rtoMin: number
  /** TCP_DELACK_MIN: how long an acknowledgment may wait, ms. */
  readonly delayedAck: number
  /** tcp_syn_retries, tcp_synack_retries, tcp_retries2, tcp_orphan_retries: how often, before giving up. */
  readonly synRetries: number
  readonly synAckRetries: number
  readonly retries: number
  readonly orphanRetries: number
  /** tcp_keepalive_time, tcp_keepalive_intvl: seconds; tcp_keepalive_probes. */
  readonly keepAliveTime: number
  readonly keepAliveInterval: number
  readonly keepAliveProbes: number
  /** tcp_fin_timeout: seconds that an orphan stays in FIN-WAIT-2. */
  readonly finTimeout: number
  /** tcp_mtu_probing: is a path that swallows full segments noticed? 0: no, 1: yes. Linux's default is 0. */
  readonly mtuProbing: number
  /** tcp_tw_reuse: may a new connection take the place of a TIME-WAIT? 0: no, 1: yes, 2: over loopback. */
  readonly twReuse: number
  /**
   * tcp_rmem and tcp_wmem, bytes: what a buffer begins with when memory is short, and else; how far it grows by itself.
   */
  readonly rmemMin: number
  readonly rmemDefault: number
  readonly rmemMax: number
  readonly wmemMin: number
  readonly wmemDefault: number
  readonly wmemMax: number
  /** tcp_syncookies: 0 never, 1 when there are too many half-open connections, 2 always. */
  readonly synCookies: number
  /**
   * tcp_fastopen, bits (RFC 7413): 1 our SYNs may carry text, 2 those of others, 4 ours without a cookie, 0x200 others'
   * without, 0x400 to every listener. Linux's default is 1; but a listener that sets TCP_FASTOPEN means it.
   */
  readonly fastOpen: number
  /** TCP_USER_TIMEOUT where the program sets none, ms; 0: none. Linux has no such sysctl. */
  readonly userTimeout: number
}

export const TUNING: TcpTuning = {
  congestion: 'cubic',
  sack: true,
  timestamps: true,
  windowScaling: true,
  ecn: 2,
  pacing: true,
  initCwnd: 10,
  slowStartAfterIdle: true,
  rtoMin: 200,
  delayedAck: 40,
  synRetries: 6,
  synAckRetries: 5,
  retries: 15,
  orphanRetries: 8,
  keepAliveTime: 7200,
  keepAliveInterval: 75,
  keepAliveProbes: 9,
  finTimeout: 60,
  mtuProbing: 1,
  twReuse: 2,
  rmemMin: 8192,
  rmemDefault: 65_536,
  rmemMax: 8 << 20,
  wmemMin: 8192,
  wmemDefault: 65_536,
  wmemMax: 8 << 20,
  synCookies: 1,
  fastOpen: 3,
  userTimeout: 0,
}

/** What a connection begins with, if its program says nothing. Throws one sentence if there is no such algorithm. */
export function settingsFrom(tuning: TcpTuning): TcpSettings {
  const congestion = congestionNamed(tuning.congestion)
  if (congestion < 0)
    throw new Error(
      `Cannot use congestion control "${tuning.congestion}": there is no such (cubic reno)`,
    )
  return {
    ...DEFAULTS,
    congestion,
    initCwnd: tuning.initCwnd,
    rtoMin: tuning.rtoMin,
    ecn: tuning.ecn,
    pacing: Number(tuning.pacing),
    synCnt: tuning.synRetries,
    keepIdle: tuning.keepAliveTime,
    keepIntvl: tuning.keepAliveInterval,
    keepCnt: tuning.keepAliveProbes,
    linger2: tuning.finTimeout,
    userTimeout: tuning.userTimeout,
  }
}
