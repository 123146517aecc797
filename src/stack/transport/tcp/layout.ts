// Where each field of a TCB lies in its record: 32-bit words from the record's start, then times (64-bit floats,
// counted in 64-bit units), then the two lists, of which most connections touch only the beginning. The order is nobody's business but this directory's.

let words = 0
const word = (n = 1): number => (words += n) - n

export const STATE = word()
export const LOCAL = word(4)
export const REMOTE = word(4)
export const FLAGS = word()
export const LOCAL_PORT = word()
export const REMOTE_PORT = word()
export const LISTENER = word()
export const ERROR = word()
export const SOFT_ERROR = word()
export const NEXT = word()
export const PREV = word()
export const BUSY = word()
export const CRASHES = word()
export const SYN_RETRIES = word()
export const KEEPALIVE = word()
export const KEEPIDLE = word()
export const KEEPINTVL = word()
export const KEEPCNT = word()
export const LINGER2 = word()
export const USER_TIMEOUT = word()
export const MAXSEG = word()
export const NODELAY = word()
export const CORK = word()
export const REUSE = word()
export const QUICKACK = word()
export const SEGS_IN = word()
export const SEGS_OUT = word()
export const DATA_SEGS_IN = word()
export const DATA_SEGS_OUT = word()
export const ISS = word()
export const SND_UNA = word()
export const SND_NXT = word()
export const SND_MAX = word()
export const SND_WND = word()
export const SND_WL1 = word()
export const SND_WL2 = word()
export const SND_MAX_WND = word()
export const SND_WIND_SHIFT = word()
export const SND_PEER_MSS = word()
export const SND_PMTU = word()
export const SND_SML = word()
export const CWND = word()
export const SSTHRESH = word()
export const CONGESTION = word()
export const PRIOR_CWND = word()
export const PRIOR_SSTHRESH = word()
export const CA_COUNT = word()
/** Use of cwnd (congestion.ts). */
export const USAGE_SEQ = word()
export const MAX_FLIGHT = word()
export const CWND_USED = word()
export const INIT_CWND = word()
export const RTO_MIN = word()
/** ECN. */
export const ECN = word()
export const ECN_MODE = word()
export const CWR_END = word()
export const DELIVERED_CE = word()
/** What IP headers say. */
export const TOS = word()
export const TTL = word()
export const TCLASS = word()
export const HOPS = word()
/** Delivery rate. */
export const RATE_STATE = word()
export const RATE_END = word()
/** Pacing: on or off, SO_MAX_PACING_RATE. */
export const PACING = word()
export const MAX_PACING_RATE = word()
/** SO_REUSEPORT. */
export const SHARE = word()
/** TCP_NOTSENT_LOWAT. */
export const NOTSENT_LOWAT = word()
/** HyStart++. */
export const WINDOW_END = word()
export const ROUND_SAMPLES = word()
export const CSS_ROUNDS = word()
export const BUSY_WITH = word()
export const DUP_ACKS = word()
export const RECOVER = word()
export const RECOVERY = word()
export const RUN_FIRST = word()
export const RUN_LAST = word()
export const SACKED_BYTES = word()
export const LOST_BYTES = word()
export const FACK = word()
export const RACK_SEQ = word()
export const REORDER_STEPS = word()
export const REORDER_PERSIST = word()
export const REORDERING = word()
export const REORD_SEEN = word()
export const DSACK_DUPS = word()
export const PRR_FROM = word()
export const PRR_DELIVERED = word()
export const PRR_OUT = word()
export const UNDO = word()
export const UNDO_FROM = word()
export const UNDO_BYTES = word()
export const UNDO_ARMED = word()
export const FRTO = word()
export const PROBE = word()
export const PROBE_SEQ = word()
export const RETRIES = word()
export const BACKOFF = word()
export const PROBES = word()
export const RTT_SEQ = word()
export const TS_OFFSET = word()
export const SND_WANTED = word()
export const TOTAL_RETRANS = word()
export const TOTAL_RTO = word()
export const IRS = word()
export const RCV_NXT = word()
export const RCV_EDGE = word()
export const RCV_UP = word()
export const RCV_WIND_SHIFT = word()
export const RCV_ACKED = word()
export const RCV_MSS = word()
export const RCV_QUICK = word()
export const FIN_SEQ = word()
export const TS_RECENT = word()
export const WINDOW_CLAMP = word()
export const DRS_TAKEN = word()
export const DRS_SPACE = word()
export const RCV_RTT_EDGE = word()
export const OUT_OF_ORDER = word()
export const SND_UP = word()
export const RCV_URGENT = word()
export const OOB_INLINE = word()
export const FAST_OPEN = word()
export const DEFER_ACCEPT = word()
export const MTU_LOW = word()
export const MTU_HIGH = word()
export const MTU_PROBE = word()
export const MTU_PROBE_SEQ = word()
export const FAST_OPEN_CONNECT = word()
export const FAST_OPEN_NO_COOKIE = word()
export const DUP_FROM = word()
export const DUP_TO = word()

// Times.
let times = (words + 1) >>> 1
const time = (n = 1): number => (times += n) - n
/** Deadlines, beside each other: which is the first is asked after every segment. */
export const DEADLINES = times
export const LINGER_AT = time()
export const KEEPALIVE_AT = time()
export const RETRANSMIT_AT = time()
export const REORDER_AT = time()
export const PROBE_AT = time()
export const PERSIST_AT = time()
export const CORK_AT = time()
export const PACED_UNTIL = time()
export const DELAYED_ACK_AT = time()
export const DEADLINES_END = times
export const CRASHED_AT = time()
export const LAST_HEARD = time()
export const LAST_OOW = time()
export const PMTU_UNTIL = time()
export const RTT_AT = time()
/** The round trip that was measured last: R of RFC 6298. */
export const R = time()
export const SRTT = time()
export const RTTVAR = time()
export const RTO = time()
/** The shortest of the last minutes (min-rtt.ts). */
export const MIN_RTT = time(6)
export const USED_AT = time()
/** Delivery rate. */
export const DELIVERED = time()
export const RATE_FROM = time()
export const RATE_AT = time()
export const DELIVERY_RATE = time()
/** Pacing. */
export const PACE_RATE = time()
export const PACE_AT = time()
/** HyStart++. */
export const ROUND_MIN_RTT = time()
export const LAST_ROUND_MIN_RTT = time()
export const CSS_BASELINE = time()
/** CUBIC: W_max, cwnd_prior, W_est, K, epoch; what they were before the last reduction; and what is of now only. */
export const CUBIC_TIMES = 5
export const CUBIC = time(CUBIC_TIMES)
export const CUBIC_PRIOR = time(CUBIC_TIMES)
export const GROW_TIME = time()
export const FRACTION = time()
export const RACK_AT = time()
export const RACK_RTT = time()
export const WIDENED_AT = time()
export const RESENT_AT = time()
export const STALLED_AT = time()
export const LAST_SENT = time()
export const BYTES_ACKED = time()
export const BYTES_SENT = time()
export const BYTES_RETRANS = time()
export const TS_RECENT_AT = time()
export const DRS_AT = time()
export const RCV_RTT_AT = time()
export const RCV_RTT = time()
export const LAST_TEXT = time()
export const BYTES_RECEIVED = time()
export const MTU_PROBE_AT = time()
/** How long the sender waited for what (busy.ts): the network, the window, the buffer. */
export const BUSY_FOR = time(3)
export const BUSY_AT = time()

/**
 * Runs of text in flight (flight.ts): for each a time, when it was sent, and two words, where it ends and its state. Beside
 * each other, and behind all else that every connection uses: a connection that sends little touches one page.
 */
export const RUNS = 512
export const RUN_WORDS = 4
export const RUN_TIMES = times
export const RUN_ENDS = 2 * times + 2
const PAST_RUNS = 2 * times + RUN_WORDS * RUNS

/** Ranges of text that came out of order: what a sender of 1,000 holes can make us remember, and walk. */
export const RANGES = 256
/** The latest first. A count, then pairs. */
export const HELD = PAST_RUNS

/** Even: a record begins at a 64-bit word. */
export const TCB_WORDS = HELD + 2 * RANGES + 2
/** What each connection takes of the memory handed to Tcp. */
export const TCB_BYTES = TCB_WORDS * 4
