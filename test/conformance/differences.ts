/** A case that under ioth-run may end otherwise than on Linux, and why. */
export interface Difference {
  program: string
  title: string
  reason: string
  /** Where it is so; everywhere under ioth-run unless given. */
  legs?: string[]
  /** A matter of timing: it may also end as on Linux. */
  sometimes?: true
}

/** Known differences. One that is none any more fails the test: it is to be taken out. */
export const differences: Difference[] = [
  {
    program: 'recv',
    title: 'SO_RCVLOWAT: poll tells of that many, recv() that does not wait takes less',
    reason: 'native mode: poll of an AF_UNIX socket does not look at the option',
    legs: ['native'],
  },
  {
    program: 'urgent',
    title: 'FIONREAD counts to the mark',
    reason: 'native mode: the AF_UNIX socket counts what lies behind it, too',
    legs: ['native'],
  },
  {
    program: 'urgent',
    title: 'a second mark while the program stands at the first: the first byte is lost',
    reason: 'native mode: to AF_UNIX the first byte is text then',
    legs: ['native'],
  },
  {
    program: 'poll',
    title: 'only what is asked for is told, but for POLLHUP, POLLERR, POLLNVAL',
    reason:
      'an accepted socket that shuts down after its peer has shows no POLLHUP (src/sockets/readiness.ts)',
    legs: ['ring', 'address'],
  },
  {
    program: 'poll',
    title: 'POLLOUT means that something can be sent',
    reason:
      'native mode: POLLOUT needs three quarters of the AF_UNIX buffer free, not a third of the send buffer',
    legs: ['native'],
    sometimes: true,
  },
  {
    program: 'sockopt-tcp',
    title:
      'TCP_NOTSENT_LOWAT: no more than that is written in advance, OUT comes when half is sent',
    reason: 'native mode: the AF_UNIX socket takes what the send ring does not',
    legs: ['native'],
  },
  {
    program: 'fcntl',
    title: 'SIOCOUTQ: what the peer has no room for',
    reason: 'native mode: nobody counts what the server holds between ring and socket',
    legs: ['native'],
    sometimes: true,
  },
  {
    program: 'epoll',
    title: 'edge: EPOLLOUT when there is room again',
    reason: 'native mode: what was full a moment ago may have moved on into the send ring',
    legs: ['native'],
    sometimes: true,
  },
  {
    program: 'epoll',
    title: 'registered before connect(), edge: EPOLLOUT when connected, then text as usual',
    reason:
      'native mode: the larger send buffer that a connected socket gets is an edge of its own',
    legs: ['native'],
    sometimes: true,
  },
  {
    program: 'shutdown',
    title: 'SHUT_WR wakes a thread in send() with EPIPE',
    reason: 'native mode: what was full a moment ago may have moved on into the send ring',
    legs: ['native'],
    sometimes: true,
  },
  {
    program: 'sockopt',
    title: 'small SO_SNDBUF and SO_RCVBUF bound what is under way, and all of it arrives',
    reason: 'native mode: the AF_UNIX buffers come on top of those that the options bound',
    legs: ['native'],
    sometimes: true,
  },
  {
    program: 'signals',
    title: 'send() on a full buffer: EINTR, and not a byte went in',
    reason: 'native mode: what was full a moment ago may have moved on into the send ring',
    legs: ['native'],
    sometimes: true,
  },
  {
    program: 'signals',
    title: 'send() on a full buffer: goes on waiting with SA_RESTART',
    reason: 'native mode: what was full a moment ago may have moved on into the send ring',
    legs: ['native'],
    sometimes: true,
  },
  {
    program: 'timeouts',
    title: 'SO_SNDTIMEO: send() on a full buffer gives EAGAIN after it',
    reason: 'native mode: what was full a moment ago may have moved on into the send ring',
    legs: ['native'],
    sometimes: true,
  },
  {
    program: 'send',
    title: 'O_NONBLOCK: send() takes what fits, then EAGAIN; POLLOUT comes back with room',
    reason: 'native mode: what was full a moment ago may have moved on into the send ring',
    legs: ['native'],
    sometimes: true,
  },
  {
    program: 'send',
    title: 'MSG_DONTWAIT on a blocking socket: EAGAIN when full',
    reason: 'native mode: what was full a moment ago may have moved on into the send ring',
    legs: ['native'],
    sometimes: true,
  },
  {
    program: 'splice',
    title: 'a full non-blocking socket: EAGAIN, and the pipe keeps its text',
    reason: 'native mode: what was full a moment ago may have moved on into the send ring',
    legs: ['native'],
    sometimes: true,
  },
]
