/** Cases that under ioth-run may end otherwise than on Linux, and why. */
export interface Difference {
  reason: string
  /** Where it is so; everywhere under ioth-run unless given. */
  legs?: string[]
  /** A matter of timing: it may also end as on Linux. */
  sometimes?: true
  /** By program, their titles. */
  cases: Record<string, string[]>
}

const NATIVE = ['native', 'notify']

/** Known differences. A case that differs no more fails the test: it is to be taken out. */
export const differences: Difference[] = [
  {
    reason:
      'ring mode: the kernel holds the socket for as long as recv() sleeps, not until it has copied what came, and not while send() waits for room',
    legs: ['ring', 'address'],
    sometimes: true,
    cases: {
      crowd: [
        'close() while another thread is in recv(): that gets what comes, then the socket ends',
        'close() while another thread is in send(): all of it goes, then the end',
      ],
    },
  },
  {
    reason: 'nothing holds the socket while connect() waits: it ends at once',
    legs: ['ring', 'address', 'native'],
    cases: {
      crowd: [
        'close() while another thread is in connect(): it waits on, as long as it would have',
      ],
    },
  },
  {
    reason: 'native mode: poll of an AF_UNIX socket does not look at SO_RCVLOWAT',
    legs: NATIVE,
    cases: {
      recv: ['SO_RCVLOWAT: poll tells of that many, recv() that does not wait takes less'],
    },
  },
  {
    reason:
      'native mode: FIONREAD of AF_UNIX counts what lies behind the mark, and of two marks the first is text',
    legs: NATIVE,
    cases: {
      urgent: [
        'FIONREAD counts to the mark',
        'a second mark while the program stands at the first: the first byte is lost',
      ],
    },
  },
  {
    reason:
      'native mode: the AF_UNIX socket has a buffer of its own, which comes on top of the send buffer, moves on into it, has its time limit for each piece, and is freed a moment after the end is told',
    legs: NATIVE,
    sometimes: true,
    cases: {
      'connect-nonblock': [
        'undecided: send() and recv(): EAGAIN; getpeername(): ENOTCONN; SO_ERROR 0',
      ],
      epoll: [
        'edge: EPOLLOUT when there is room again',
        'registered before connect(), edge: EPOLLOUT when connected, then text as usual',
        'registered before connect(), refused: EPOLLIN EPOLLOUT EPOLLERR EPOLLHUP EPOLLRDHUP',
      ],
      fcntl: ['SIOCOUTQ: what the peer has no room for'],
      poll: ['POLLOUT means that something can be sent'],
      send: [
        'MSG_DONTWAIT on a blocking socket: EAGAIN when full',
        'O_NONBLOCK: send() takes what fits, then EAGAIN; POLLOUT comes back with room',
      ],
      shutdown: ['SHUT_WR wakes a thread in send() with EPIPE'],
      signals: [
        'send() on a full buffer: EINTR, and not a byte went in',
        'send() on a full buffer: goes on waiting with SA_RESTART',
      ],
      sockopt: ['small SO_SNDBUF and SO_RCVBUF bound what is under way, and all of it arrives'],
      'sockopt-tcp': [
        'TCP_NOTSENT_LOWAT: no more than that is written in advance, OUT comes when half is sent',
      ],
      splice: ['a full non-blocking socket: EAGAIN, and the pipe keeps its text'],
      timeouts: [
        'SO_SNDTIMEO: send() on a full buffer gives EAGAIN after it',
        'SO_SNDTIMEO is of the whole call',
      ],
    },
  },
  {
    reason:
      'without the shim a reset is an end of text: an AF_UNIX socket says ECONNRESET only if its peer left something unread',
    legs: ['notify'],
    cases: {
      close: [
        'close() with text unread resets: the peer gets ECONNRESET',
        'SO_LINGER 0: close() resets',
        'a program that is killed with text unread resets',
      ],
      connect: ['connect() to AF_UNSPEC dissolves a connection; the socket connects again'],
      listen: ['close() of a listener resets the connections that wait'],
      ports: ['2,000 connections reset by linger 0: no port stays behind'],
      reset: [
        'recv(): ECONNRESET once, then the end',
        'read(): ECONNRESET once, then the end',
        'recv() has told it: send() says EPIPE',
        'poll: POLLHUP, POLLRDHUP, POLLIN and POLLOUT stay',
        'text that came before the reset can be read',
        'what was written before a close that resets arrives',
        'all that arrived before the reset can be read, then ECONNRESET',
        'a thread in recv() wakes with ECONNRESET',
        'after a reset the socket connects anew',
        '100 connections reset at once: each is told',
      ],
    },
  },
  {
    reason:
      'without the shim send(), recv(), read(), write() and poll() have the words of AF_UNIX for what is not connected: EINVAL, ENOTCONN, ECONNRESET, EPIPE; POLLIN and POLLRDHUP of a listener that was shut down',
    legs: ['notify'],
    cases: {
      connect: ['connect() refused, then recv(): ENOTCONN, and send(): EPIPE'],
      'connect-nonblock': [
        'refused: recv() tells it once, then the end',
        'refused: send() tells it once, then EPIPE',
      ],
      dup: ['a number used again for a file is a file, and for a socket a socket'],
      listen: [
        'recv() on a listener: ENOTCONN; send(): EPIPE; getpeername(): ENOTCONN',
        'shutdown(SHUT_RD) of a non-blocking listener: EINVAL, POLLOUT and POLLHUP as a fresh socket',
      ],
      sendfile: ["not connected: an error, and the file's offset stays"],
      socket: ['recv() before connect(): ENOTCONN', 'send() before connect(): EPIPE'],
    },
  },
  {
    reason:
      'natively one message at a time waits for the program, so the end of a dump comes with the rest',
    legs: ['native', 'notify'],
    cases: { netlink: ['a dump of routes: DONE comes by itself'] },
  },
  {
    reason:
      'without the shim send(), recv(), read() and write() on datagram sockets do not tell what the stack says of them, and poll() shows an error as POLLIN: it is an empty message, as the kernel has none for an AF_UNIX socket that lives on',
    legs: ['notify'],
    sometimes: true,
    cases: {
      epoll: [
        'UDP refused, level: EPOLLERR without EPOLLIN again and again, until it is told',
        'UDP refused, edge: EPOLLERR and EPOLLOUT once; registered late: at once',
      ],
      netlink: [
        'no text at all: ENODATA',
        'a dump of links: lo is 1, parts say so, DONE ends it, the kernel sends it',
        'an answer is there when send() returns: poll() shows it',
      ],
      packet: [
        'send() of a socket that is bound to no interface: ENXIO',
        'send() without an address of SOCK_DGRAM, on Ethernet: EINVAL',
      ],
      raw: [
        'send() without a peer, to another family, too much, MSG_OOB',
        'nobody has the protocol: an error, told with IP_RECVERR and to who is connected',
        'ping: only echo requests',
      ],
      udp: [
        'a fresh socket: no name, no peer, nothing to read, writable',
        'ECONNREFUSED is told to a connected sender, once',
        'ECONNREFUSED: POLLERR and POLLOUT, no POLLIN, until it is told',
        'ECONNREFUSED with text waiting: POLLERR and POLLIN, and the text stays',
      ],
    },
  },
  {
    reason:
      'without the shim close() does not wait for SO_LINGER; what is written is sent all the same',
    legs: ['notify'],
    cases: {
      close: [
        'SO_LINGER n: close() gives up after n seconds, and the text arrives all the same',
        'SO_LINGER n: close() returns once the peer has taken the text',
      ],
    },
  },
]

/** Programs that a leg has nothing to tell of, and why. */
export const leftOut: Record<string, Record<string, string>> = {
  notify: {
    dlopen: 'a static program opens no libraries',
    resolve: 'a static program has a resolver of its own',
  },
}
