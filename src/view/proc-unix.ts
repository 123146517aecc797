// /proc/net/unix (proc(5)): the host's, without the AF_UNIX sockets that the stack's own are to the kernel. Else lsof(8),
// which looks there first, takes a TCP socket for one of these.
import type { SocketView } from './sockets.ts'

/** `Num RefCount Protocol Flags Type St Inode Path`. */
const INODE = 6
const PATH = 7
const OURS = '@ioth/'

export function procUnix(host: string, sockets: Iterable<SocketView>): string {
  const shown = new Set([...sockets].map(({ inode }) => String(inode)))
  const [head, ...lines] = host.split('\n')
  const others = lines.filter(line => {
    const words = line.trim().split(/ +/)
    return !shown.has(words[INODE] ?? '') && !words[PATH]?.startsWith(OURS)
  })
  return [head, ...others].join('\n')
}
