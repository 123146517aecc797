// Where each field of a TCB lies in its record: 32-bit words from the record's start, then times (64-bit floats,
// counted in 64-bit units), then the two lists of ranges. The order is nobody's business but this directory's.

export const STATE = 0
export const LOCAL = 1
export const REMOTE = 5
export const FLAGS = 9
export const LOCAL_PORT = 10
export const REMOTE_PORT = 11
export const LISTENER = 12
export const ERROR = 13
export const SOFT_ERROR = 14
export const NEXT = 15
export const PREV = 16
export const BUSY = 17
export const CRASHES = 18
export const SYN_RETRIES = 19
export const KEEPALIVE = 20
export const KEEPIDLE = 21
export const KEEPINTVL = 22
export const KEEPCNT = 23
export const LINGER2 = 24
export const USER_TIMEOUT = 25
export const MAXSEG = 26
export const NODELAY = 27
export const CORK = 28
export const REUSE = 29
export const QUICKACK = 30
export const SEGS_IN = 31
export const SEGS_OUT = 32
export const DATA_SEGS_IN = 33
export const DATA_SEGS_OUT = 34
export const ISS = 35
export const SND_UNA = 36
export const SND_NXT = 37
export const SND_MAX = 38
export const SND_WND = 39
export const SND_WL1 = 40
export const SND_WL2 = 41
export const SND_MAX_WND = 42
export const SND_WIND_SHIFT = 43
export const SND_PEER_MSS = 44
export const SND_PMTU = 45
export const SND_SML = 46
export const CWND = 47
export const SSTHRESH = 48
export const CA_COUNT = 49
export const DUP_ACKS = 50
export const RECOVER = 51
export const HIGH_RXT = 52
export const RECOVERY = 53
export const RETRIES = 54
export const BACKOFF = 55
export const PROBES = 56
export const RTT_SEQ = 57
export const TS_OFFSET = 58
export const SND_WANTED = 59
export const TOTAL_RETRANS = 60
export const TOTAL_RTO = 61
export const IRS = 62
export const RCV_NXT = 63
export const RCV_EDGE = 64
export const RCV_UP = 65
export const RCV_WIND_SHIFT = 66
export const RCV_ACKED = 67
export const RCV_MSS = 68
export const RCV_QUICK = 69
export const FIN_SEQ = 70
export const TS_RECENT = 71
export const WINDOW_CLAMP = 72
export const DRS_TAKEN = 73
export const DRS_SPACE = 74
export const RCV_RTT_EDGE = 75
export const OUT_OF_ORDER = 76

// Times.
export const CRASHED_AT = 39
export const LINGER_AT = 40
export const KEEPALIVE_AT = 41
export const LAST_HEARD = 42
export const LAST_OOW = 43
export const PMTU_UNTIL = 44
export const RTT_AT = 45
export const SRTT = 46
export const RTTVAR = 47
export const RTO = 48
export const MIN_RTT = 49
export const RETRANSMIT_AT = 50
export const PERSIST_AT = 51
export const CORK_AT = 52
export const STALLED_AT = 53
export const LAST_SENT = 54
export const BYTES_ACKED = 55
export const BYTES_SENT = 56
export const BYTES_RETRANS = 57
export const TS_RECENT_AT = 58
export const DELAYED_ACK_AT = 59
export const DRS_AT = 60
export const RCV_RTT_AT = 61
export const RCV_RTT = 62
export const LAST_TEXT = 63
export const BYTES_RECEIVED = 64

/** Ranges that either list holds at most: what a sender of 1,000 holes can make us remember, and walk. */
export const RANGES = 64
/** Scoreboard (RFC 6675): SACKed ranges, in order. A count, then pairs. */
export const SACKED = 130
/** Text that came out of order, the latest first. A count, then pairs. */
export const HELD = 260

export const TCB_WORDS = 390
/** What each connection takes of the memory handed to Tcp. */
export const TCB_BYTES = TCB_WORDS * 4
