/* The contract between the shim and the stack server: the shared region, the control messages, the
 * names. src/shm/layout.ts says the same for the other side; test/abi.ts compares the two.
 *
 * One region (a sealed, sparse memfd) per stack. Only offsets, never pointers. "Server's" words are
 * written by the stack server alone and never read back by it; "program's" words are written by the
 * shim, and the server copies and checks each one. Every struct starts on a cache line. */
/* Laid out by hand, as the tables that they are. */
/* clang-format off */
#ifndef IOTH_ABI_H
#define IOTH_ABI_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define ABI_MAGIC   0x68746f69u /* "ioth" */
#define ABI_VERSION 1u

#define ABI_RECORDS 16384u /* virtual sockets per stack */
#define ABI_CALLS   1024u  /* calls in flight per stack */
#define ABI_SLOTS   4096u  /* attached processes per stack */

#define ABI_CALLS_OFFSET   4096u
#define ABI_RECORDS_OFFSET (ABI_CALLS_OFFSET + ABI_CALLS * 512u)
#define ABI_CHUNKS_OFFSET  0x1000000u
#define ABI_REGION_SIZE    0x80000000u

/* ---- names: abstract AF_UNIX addresses, without the leading zero byte --------------------------
 * ioth/STACK/RECORD.GENERATION  the program's end of a socket it made; the server's end of one it
 *                               delivers to accept()
 * ioth/STACK/conn               SOCK_STREAM listener: a program's end connects here
 * ioth/STACK/msg                SOCK_SEQPACKET listener: the same for message sockets
 * ioth/STACK/kick               SOCK_DGRAM: one byte wakes the stack thread
 * ioth/STACK/ctl                SOCK_SEQPACKET: attach
 * The last four also stand as paths conn, msg, kick, ctl in the stack's directory (IOTH_DIR). */
#define ABI_NAME_PREFIX "ioth/"

/* ---- environment of the program ---------------------------------------------------------------- */
#define ENV_STACK "IOTH_STACK" /* the stack's name: 16 hexadecimal digits */
#define ENV_DIR   "IOTH_DIR"   /* the stack's directory */
#define ENV_TOKEN "IOTH_TOKEN" /* 32 hexadecimal digits: lets another uid attach */
#define ENV_SHIM  "IOTH_SHIM"  /* absolute path of libioth.so */
#define ENV_MODE  "IOTH_MODE"  /* "native" keeps every socket in native mode */

/* ---- the header (offset 0) --------------------------------------------------------------------- */
enum server_state { SERVER_STARTING = 0, SERVER_RUNNING = 1, SERVER_DEAD = 2 };

struct region {
	uint32_t magic;
	uint32_t version;
	uint32_t state; /* enum server_state; the undertaker writes SERVER_DEAD */
	uint32_t plug;  /* 1-byte messages that take POLLOUT away, the canary among them; 0: native only */
	uint32_t world; /* another number: what a message socket was told of a destination may be wrong */
	uint32_t reserved[11];
	/* 64: the stack thread sets it before it sleeps; whoever swaps 1 to 0 kicks. */
	uint32_t asleep;
	uint32_t pad0[15];
	/* 128: work, three levels of bits. To post record r: set bit r in work_dirty, then bit r/32 in
	 * work_summary, then bit r/1024 in work_top, always all three (a poster may be killed between
	 * them), then kick. The server swaps each to 0 from the top down. */
	uint32_t work_top;
	uint32_t pad1[15];
	uint32_t work_summary[16];
	/* 256: calls, two levels, in the same manner. */
	uint32_t call_top;
	uint32_t pad2[15];
	uint32_t call_dirty[32];
	uint32_t pad3[16];
	uint32_t work_dirty[512]; /* 512 */
	/* 2560: the server's, before programs attach: what gethostname() says; empty: the host's own */
	uint8_t nodename[80];
};
static_assert(offsetof(struct region, nodename) == 2560, "nodename");
static_assert(offsetof(struct region, asleep) == 64, "asleep");
static_assert(offsetof(struct region, work_top) == 128, "work_top");
static_assert(offsetof(struct region, work_summary) == 192, "work_summary");
static_assert(offsetof(struct region, call_top) == 256, "call_top");
static_assert(offsetof(struct region, call_dirty) == 320, "call_dirty");
static_assert(offsetof(struct region, work_dirty) == 512, "work_dirty");
static_assert(sizeof(struct region) <= ABI_CALLS_OFFSET, "header");

/* ---- calls (512 bytes each) --------------------------------------------------------------------
 * word = state | slot << 8, so that a block whose owner dies is found at any moment.
 * FREE --claim (CAS)--> CLAIMED --post--> POSTED --server--> DONE --read--> FREE
 * POSTED --caller gives up (CAS, then posts again)--> ABANDONED --server--> FREE
 * POSTED --the server died (undertaker)--> DEAD; it stays so. */
enum call_state {
	CALL_FREE = 0,
	CALL_CLAIMED = 1,
	CALL_POSTED = 2,
	CALL_DONE = 3,
	CALL_ABANDONED = 4,
	CALL_DEAD = 5,
};

enum call_op {
	OP_SOCKET = 1,      /* arg0 family, arg1 type, arg2 protocol, arg3 mode; arg4: 0, or 1 + a record
			     * whose options and local name are taken over (arg5 its generation).
			     * result: record; generation is set */
	OP_RETIRE = 2,      /* the record's name could not be bound: forget it */
	OP_BIND = 3,        /* data: sockaddr */
	OP_CONNECT = 4,     /* data: sockaddr; arg0: 1 = answer when decided, 0 = answer at once */
	OP_LISTEN = 5,      /* arg0 backlog */
	OP_SHUTDOWN = 6,    /* arg0 how */
	OP_SETSOCKOPT = 7,  /* arg0 level, arg1 name; data: value */
	OP_GETSOCKOPT = 8,  /* arg0 level, arg1 name, arg2 room; data: value */
	OP_WAIT = 9,        /* arg0 enum wait_for; arg1 ms (closed only). Answered when it is so. */
	OP_NATIVE = 10,     /* go native; arg0: messages (canary, plug) to throw away before text */
	OP_DISCONNECT = 11, /* connect() to AF_UNSPEC */
	OP_OUTQ = 12,       /* result: bytes in the send queue not acknowledged; arg0 out: not sent */
	/* message sockets; data, in or out: struct abi_message */
	OP_MESSAGE_CHECK = 13, /* arg0 bytes of text: what send(2) would say */
	OP_MESSAGE_ERROR = 14, /* takes the oldest of the error queue; data: head, then the text quoted */
	OP_MESSAGE_NAME = 15,  /* bare: the head of the message that lies in the socket; -EAGAIN: none */
	OP_MESSAGE_HOLD = 16,  /* sends nothing more until OP_NATIVE */
	OP_URGENT = 17,     /* arg0 enum urgent_call; arg1 the byte to send. result: 0, the byte */
	/* About no socket. Result: the length of the answer, whose beginning is data; arg0 out: where it
	 * is longer, its number for OP_REST. */
	OP_REST = 32,       /* arg0 the answer, arg1 where to go on; data: the next part. -ESTALE: it is gone */
	OP_SHOW = 33,       /* data: a path; the file's text. -EOPNOTSUPP: the host's own is to be shown */
	/* Names. arg1 out: an h_errno of netdb.h, 0 if there is an answer. */
	OP_LOOKUP = 34,     /* arg0 family, arg1: 1 = the best address first (RFC 6724); data: a name. struct abi_host */
	OP_REVERSE = 35,    /* arg0 family; data: an address of 4 or 16 bytes. struct abi_host */
	OP_QUERY = 36,      /* arg0 class, arg1 type, arg2: 1 = along the search list; data: a name. A DNS message */
	OP_SEND = 37,       /* data: a DNS query. A DNS message */
	OP_FAMILIES = 38,   /* result: FAMILIES_*, of which there are addresses beside loopback */
	OP_INTERFACES = 39, /* struct abi_interfaces */
};

/* The stack's interfaces, by index: head, `interfaces` of the second, `addresses` of the third. */
struct abi_interfaces {
	uint32_t interfaces;
	uint32_t addresses;
};
struct abi_interface {
	uint32_t index;
	uint32_t type;  /* ARPHRD_* */
	uint32_t flags; /* IFF_* */
	uint32_t mtu;
	char name[16];
	uint8_t address[8]; /* six bytes */
	uint8_t broadcast[8];
	uint64_t packets_in;
	uint64_t packets_out;
	uint64_t bytes_in;
	uint64_t bytes_out;
	uint64_t errors_in;
	uint64_t dropped_in;
	uint64_t dropped_out;
	uint64_t multicast_in;
};
struct abi_interface_address {
	uint32_t index;
	uint32_t family;
	uint32_t prefix;
	uint8_t addr[16];     /* IPv4 in the first four */
	uint8_t broadcast[4]; /* zero: none */
};

enum families { FAMILIES_V4 = 1, FAMILIES_V6 = 2 };

/* A host: `addresses` of these, then `names` zero-terminated names, the canonical one first. */
struct abi_host {
	uint32_t addresses;
	uint32_t names;
};
struct abi_host_address {
	uint32_t family;
	uint8_t addr[16]; /* IPv4 in the first four */
};

enum wait_for { WAIT_CONNECTED = 1, WAIT_SPACE = 2, WAIT_CLOSED = 3 };

/* Sends one byte (with wlock held); gives the one that came; the same, and leaves it; sends another token. */
enum urgent_call { URGENT_SEND = 0, URGENT_TAKE = 1, URGENT_PEEK = 2, URGENT_RING = 3 };

struct call {
	uint32_t word; /* futex */
	uint32_t op;
	uint32_t record;
	uint32_t generation;
	int32_t result; /* >= 0, or a negative errno */
	int32_t arg[6];
	uint32_t data_len; /* in: bytes given; out: bytes returned */
	uint32_t pad[4];
	uint8_t data[448];
};
static_assert(sizeof(struct call) == 512, "struct call");
static_assert(offsetof(struct call, arg) == 20 && offsetof(struct call, data) == 64, "call");

/* ---- socket records (512 bytes each) ----------------------------------------------------------- */
enum record_state {
	RECORD_FREE = 0,
	RECORD_OPEN = 1,       /* made, maybe bound */
	RECORD_LISTENING = 2,
	RECORD_CONNECTING = 3,
	RECORD_CONNECTED = 4,  /* until both ends are gone; flags say more */
	RECORD_DELIVERED = 5,  /* waits in the listener's queue; the acceptor makes it CONNECTED (CAS) */
	RECORD_DELIVERED_NATIVE = 6, /* the same, and it is in native mode */
};

enum record_flag {
	FLAG_EOF = 1,        /* the peer's FIN: no text comes after rx_tail */
	FLAG_DEAD = 2,       /* reset, refused or timed out; so_error has the cause */
	FLAG_SHUT_WR = 4,    /* no more may be written */
	FLAG_WANT_ACCEPT = 8, /* the server has connections that did not fit the listener's backlog */
	FLAG_NATIVE_ACCEPT = 16, /* connections accepted here start in native mode */
	FLAG_SHUT_RD = 32,
	FLAG_LISTENED = 64,  /* the AF_UNIX socket listens and the record does not, or no more */
	FLAG_CLOSED = 128,   /* both ends' FINs have come: to Linux the socket has no peer any more */
};

/* No mark, or it was passed; the urgent byte is left out by readers; it is text like any other. */
enum urgent_mark { MARK_NONE = 0, MARK_OUT = 1, MARK_IN = 2 };

enum record_mode { MODE_RING = 0, MODE_NATIVE = 1 };

/* The upper half of rx_head. The low half counts bytes read, modulo 2^32. */
#define HEAD_NATIVE (1ull << 63)      /* readers use the AF_UNIX socket; the ring is the server's */
#define HEAD_DRAIN  (1ull << 62)      /* program's: the holder of rlock drains, other readers wait for it */
#define HEAD_EPOCH  (1ull << 32)      /* added each time the ring moves: an old reader's swap fails */

/* A ring's place: region offset / 4096 in the upper 27 bits, log2 of its size in the lower 5. 0: none. */
#define GEOM_OFFSET(g) ((size_t)((g) >> 5) << 12)
#define GEOM_SIZE(g)   (1u << ((g) & 31))

/* A lock word: 0 free; else slot << 19 | thread (19 bits, not 0), and LOCK_WAITERS. */
#define LOCK_WAITERS 0x80000000u
#define LOCK_SLOT(w) (((w) >> 19) & 0xfffu)
#define LOCK_SERVER  0x7ff80000u /* slot 4095 is the server's own */

struct abi_addr {
	uint16_t family;
	uint16_t port; /* network order */
	uint32_t scope_id;
	uint8_t addr[16]; /* IPv4 in the first four */
};

struct record {
	/* 0: identity, the server's */
	uint32_t generation;
	uint32_t state; /* DELIVERED -> CONNECTED is the acceptor's, by CAS */
	uint32_t flags;
	uint32_t so_error; /* the shim swaps it to 0 */
	uint16_t family;
	uint16_t type;
	uint32_t protocol;
	uint32_t listener; /* for a delivered one: the listener's record */
	uint32_t linger;   /* 0: off, or 0 seconds; else SO_LINGER's seconds: close() waits */
	uint32_t cookie[4]; /* message sockets: a head begins with it */
	uint32_t checked;  /* message sockets, as region's world, for this one */
	uint32_t errors;   /* message sockets: how many wait in the error queue */
	uint32_t pad0[2];
	/* 64: names, the server's */
	struct abi_addr local;
	struct abi_addr peer;
	uint32_t pad1[4];
	/* 128: the writer's, the program's */
	uint32_t wlock; /* futex */
	uint32_t tx_tail;
	uint32_t plugged; /* the program sets it when plug - 1 messages lie in the socket; the server clears it */
	uint32_t mode;    /* enum record_mode; changes to native once, under both locks */
	uint32_t closing; /* a hint: some copy of the socket of this generation was closed, probe */
	uint32_t accepted; /* the acceptor sent its canary; before that the server sends no token.
			    * Messages: the shim reads, also in native mode */
	uint32_t more;    /* the last write said MSG_MORE: a short segment may wait for the next */
	uint32_t contended; /* shim only: a non-blocking writer left before a held lock, owe it an OUT edge */
	uint32_t told;      /* shim only: connect() has reported how it went */
	uint32_t named;     /* the program's socket bears the record's name; before that a probe tells nothing */
	uint32_t pad2[6];
	/* 192: the reader's, the program's */
	uint64_t rx_head;
	uint32_t rlock; /* futex; for taking tokens and changing the mode, never for copying */
	uint32_t pad3[13];
	/* 256: receive ring, the server's, but for rung */
	uint32_t rx_tail;
	uint32_t rx_geom;
	uint32_t rung;      /* tokens in the socket (0 to 128): the server adds, the holder of rlock takes.
			     * Messages: message-error.c, packet.c */
	uint32_t rx_notify; /* post work when rx_head gets here or beyond */
	uint32_t rcvlowat;  /* SO_RCVLOWAT; less than that in the ring is not shown. 0 is 1 */
	uint32_t oobinline; /* SO_OOBINLINE */
	uint32_t urgent;    /* enum urgent_mark */
	uint32_t urgent_at; /* where in the ring, as rx_head counts */
	uint32_t urgent_shown; /* the server sent a byte out of band (POLLPRI); who takes it back swaps to 0 */
	uint32_t pad4[7];
	/* 320: send ring, the server's */
	uint32_t tx_head;
	uint32_t tx_geom;
	uint32_t tx_limit; /* bytes a writer may have in the ring (SO_SNDBUF), at most its size */
	uint32_t ring_size; /* packet sockets: bytes of the ring that mmap() gives, at rx_geom's place; 0: none.
			     * rx_tail: where in the region the slot is that was filled last */
	uint32_t pad5[44];
};
static_assert(sizeof(struct record) == 512, "struct record");
static_assert(offsetof(struct record, local) == 64 && offsetof(struct record, peer) == 88, "names");
static_assert(offsetof(struct record, cookie) == 32, "cookie");
static_assert(offsetof(struct record, wlock) == 128, "writer's line");
static_assert(offsetof(struct record, named) == 164, "named");
static_assert(offsetof(struct record, rx_head) == 192, "reader's line");
static_assert(offsetof(struct record, rx_tail) == 256, "receive ring");
static_assert(offsetof(struct record, tx_head) == 320, "send ring");
static_assert(sizeof(struct abi_addr) == 24, "struct abi_addr");
static_assert(ABI_RECORDS_OFFSET + ABI_RECORDS * 512u <= ABI_CHUNKS_OFFSET, "records");

/* ---- messages ------------------------------------------------------------------------------------
 * UDP, raw, ping, packet and netlink sockets are message sockets: each datagram is one message on a
 * SOCK_SEQPACKET, a head and the text behind it. The program's heads begin with the record's cookie,
 * so a message without one is what a program without the shim sent: text for the peer. To a socket in
 * native mode the server sends bare text, one at a time, and OP_MESSAGE_NAME tells its head. */
enum message_kind {
	MESSAGE_DATA = 0,
	MESSAGE_ERROR = 1,    /* to the program: so_error or the error queue has something; no text */
	MESSAGE_RETURNED = 2, /* to the server: on the way to native mode, not read by anyone */
};

#define ABI_MESSAGE_NAME    32u
#define ABI_MESSAGE_CONTROL 256u
#define ABI_MESSAGE_TEXT    65552u /* the most that one carries: any datagram, with a link header */

struct abi_message {
	uint32_t cookie[4];
	uint32_t kind;
	uint32_t flags; /* MSG_*: the sender's, or what recvmsg() adds to msg_flags */
	uint32_t name_len;
	uint32_t control_len;
	uint8_t name[ABI_MESSAGE_NAME];       /* a sockaddr */
	uint8_t control[ABI_MESSAGE_CONTROL]; /* cmsghdrs as the program wrote them, or is to see them */
};
static_assert(sizeof(struct abi_message) == 320, "struct abi_message");

/* ---- what a virtual socket is to the kernel ----------------------------------------------------
 * SOCK_STREAM: unconnected, bound to its name. Everything else (UDP, raw, ping, netlink) is a
 * SOCK_SEQPACKET connected to the server within socket(): a SOCK_DGRAM tells the server nothing when
 * the program closes it. */
#define ABI_UNIX_TYPE(type) ((type) == 1 /* SOCK_STREAM */ ? 1 : 5 /* SOCK_SEQPACKET */)

/* ---- control messages (SOCK_SEQPACKET, one request and one reply per connection) ---------------- */
enum ctl_op {
	CTL_ATTACH = 1, /* a new image: reply with slot and the region's memfd */
	CTL_SLOT = 2,   /* a fork child that has the region mapped: reply with slot */
	CTL_LAUNCH = 3, /* the launcher: request carries the seccomp listener, if there is one */
	CTL_FAULT = 4,  /* tests (server started with IOTH_FAULTS=1): arg = enum ctl_fault */
};

/* The stack thread throws; it never comes back; the main thread throws. */
enum ctl_fault { FAULT_THROW = 1, FAULT_LOOP = 2, FAULT_UNCAUGHT = 3 };

struct ctl_request {
	uint32_t magic;
	uint32_t version;
	uint32_t op;
	uint32_t arg;
	uint8_t token[16]; /* ENV_TOKEN's bytes */
};

struct ctl_reply {
	uint32_t magic;
	int32_t result; /* 0, or a negative errno */
	uint32_t slot;
	uint32_t region_size;
};
static_assert(sizeof(struct ctl_request) == 32 && sizeof(struct ctl_reply) == 16, "control");

#endif
