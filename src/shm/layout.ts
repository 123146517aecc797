// The region shared with the shim, as preload/abi.h lays it out: same names, byte offsets. test/abi.ts compares the two.

export const ABI_MAGIC = 0x68746f69
export const ABI_VERSION = 1
export const ABI_RECORDS = 16384
export const ABI_CALLS = 1024
export const ABI_SLOTS = 4096
export const ABI_CALLS_OFFSET = 4096
export const ABI_RECORDS_OFFSET = ABI_CALLS_OFFSET + ABI_CALLS * 512
export const ABI_CHUNKS_OFFSET = 0x1000000
export const ABI_REGION_SIZE = 0x80000000
export const ABI_NAME_PREFIX = 'ioth/'

/** struct region */
export const REGION = {
  magic: 0,
  version: 4,
  state: 8,
  plug: 12,
  world: 16,
  asleep: 64,
  work_top: 128,
  work_summary: 192,
  call_top: 256,
  call_dirty: 320,
  work_dirty: 512,
  nodename: 2560,
} as const

export const SERVER_STARTING = 0
export const SERVER_RUNNING = 1
export const SERVER_DEAD = 2

/** struct call */
export const CALL = {
  word: 0,
  op: 4,
  record: 8,
  generation: 12,
  result: 16,
  arg: 20,
  data_len: 44,
  data: 64,
} as const
export const CALL_SIZE = 512
export const CALL_DATA_SIZE = 448

export const CALL_FREE = 0
export const CALL_CLAIMED = 1
export const CALL_POSTED = 2
export const CALL_DONE = 3
export const CALL_ABANDONED = 4
export const CALL_DEAD = 5

export const OP_SOCKET = 1
export const OP_RETIRE = 2
export const OP_BIND = 3
export const OP_CONNECT = 4
export const OP_LISTEN = 5
export const OP_SHUTDOWN = 6
export const OP_SETSOCKOPT = 7
export const OP_GETSOCKOPT = 8
export const OP_WAIT = 9
export const OP_NATIVE = 10
export const OP_DISCONNECT = 11
export const OP_OUTQ = 12
export const OP_MESSAGE_CHECK = 13
export const OP_MESSAGE_ERROR = 14
export const OP_MESSAGE_NAME = 15
export const OP_MESSAGE_HOLD = 16
export const OP_URGENT = 17
export const OP_REST = 32
export const OP_SHOW = 33
export const OP_LOOKUP = 34
export const OP_REVERSE = 35
export const OP_QUERY = 36
export const OP_SEND = 37
export const OP_FAMILIES = 38
export const OP_INTERFACES = 39

export const FAMILIES_V4 = 1
export const FAMILIES_V6 = 2

/** struct abi_host, struct abi_host_address */
export const HOST = { addresses: 0, names: 4 } as const
export const HOST_SIZE = 8
export const HOST_ADDRESS = { family: 0, addr: 4 } as const
export const HOST_ADDRESS_SIZE = 20

/** struct abi_interfaces, struct abi_interface, struct abi_interface_address */
export const INTERFACES = { interfaces: 0, addresses: 4 } as const
export const INTERFACES_SIZE = 8
export const INTERFACE = {
  index: 0,
  type: 4,
  flags: 8,
  mtu: 12,
  name: 16,
  address: 32,
  broadcast: 40,
  packets_in: 48,
  packets_out: 56,
  bytes_in: 64,
  bytes_out: 72,
  errors_in: 80,
  dropped_in: 88,
  dropped_out: 96,
  multicast_in: 104,
} as const
export const INTERFACE_SIZE = 112
export const INTERFACE_ADDRESS = {
  index: 0,
  family: 4,
  prefix: 8,
  addr: 12,
  broadcast: 28,
} as const
export const INTERFACE_ADDRESS_SIZE = 32

export const URGENT_SEND = 0
export const URGENT_TAKE = 1
export const URGENT_PEEK = 2
export const URGENT_RING = 3

export const WAIT_CONNECTED = 1
export const WAIT_SPACE = 2
export const WAIT_CLOSED = 3

/** struct record */
export const RECORD = {
  generation: 0,
  state: 4,
  flags: 8,
  so_error: 12,
  family: 16,
  type: 18,
  protocol: 20,
  listener: 24,
  linger: 28,
  cookie: 32,
  checked: 48,
  errors: 52,
  local: 64,
  peer: 88,
  wlock: 128,
  tx_tail: 132,
  plugged: 136,
  mode: 140,
  closing: 144,
  accepted: 148,
  more: 152,
  contended: 156,
  told: 160,
  named: 164,
  rx_head: 192,
  rlock: 200,
  rx_tail: 256,
  rx_geom: 260,
  rung: 264,
  rx_notify: 268,
  rcvlowat: 272,
  oobinline: 276,
  urgent: 280,
  urgent_at: 284,
  urgent_shown: 288,
  tx_head: 320,
  tx_geom: 324,
  tx_limit: 328,
  ring_size: 332,
} as const
export const RECORD_SIZE = 512

export const RECORD_FREE = 0
export const RECORD_OPEN = 1
export const RECORD_LISTENING = 2
export const RECORD_CONNECTING = 3
export const RECORD_CONNECTED = 4
export const RECORD_DELIVERED = 5
export const RECORD_DELIVERED_NATIVE = 6

export const FLAG_EOF = 1
export const FLAG_DEAD = 2
export const FLAG_SHUT_WR = 4
export const FLAG_WANT_ACCEPT = 8
export const FLAG_NATIVE_ACCEPT = 16
export const FLAG_SHUT_RD = 32
export const FLAG_LISTENED = 64
export const FLAG_CLOSED = 128

export const MARK_NONE = 0
export const MARK_OUT = 1
export const MARK_IN = 2

export const MODE_RING = 0
export const MODE_NATIVE = 1

/** The bits of rx_head's upper word: HEAD_NATIVE and the unit of HEAD_EPOCH. */
export const HEAD_NATIVE_HIGH = 0x80000000
export const HEAD_EPOCH_HIGH = 1

export const LOCK_WAITERS = 0x80000000
export const LOCK_SERVER = 0x7ff80000

/** struct abi_addr */
export const ADDR = { family: 0, port: 2, scope_id: 4, addr: 8 } as const
export const ADDR_SIZE = 24

/** struct abi_message: what stands before each message's text. */
export const MESSAGE = {
  cookie: 0,
  kind: 16,
  flags: 20,
  name_len: 24,
  control_len: 28,
  name: 32,
  control: 64,
} as const
export const MESSAGE_SIZE = 320
export const ABI_MESSAGE_NAME = 32
export const ABI_MESSAGE_CONTROL = 256
export const ABI_MESSAGE_TEXT = 65552
export const MESSAGE_DATA = 0
export const MESSAGE_ERROR = 1
export const MESSAGE_RETURNED = 2

/** struct ctl_request, struct ctl_reply */
export const CTL_REQUEST = { magic: 0, version: 4, op: 8, arg: 12, token: 16 } as const
export const CTL_REQUEST_SIZE = 32
export const CTL_REPLY = { magic: 0, result: 4, slot: 8, region_size: 12 } as const
export const CTL_REPLY_SIZE = 16

export const CTL_ATTACH = 1
export const CTL_SLOT = 2
export const CTL_LAUNCH = 3
export const CTL_FAULT = 4

export const FAULT_THROW = 1
export const FAULT_LOOP = 2
export const FAULT_UNCAUGHT = 3

/** A ring's place in one word: region offset / 4096 << 5 | log2 of its size. */
export const geom = (offset: number, log2: number) => ((offset / 4096) << 5) | log2
export const geomOffset = (g: number) => (g >>> 5) * 4096
export const geomSize = (g: number) => 2 ** (g & 31)
