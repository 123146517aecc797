// Host calls that may block for long, off the loop: ffi-rs runs them on a thread of libuv's pool.
import { DataType, load, open } from 'ffi-rs'

let opened = false

/** struct pollfd; held for ever, since the thread that polls writes into it while nothing of JavaScript looks. */
const pollfd = Buffer.alloc(8)

/**
 * Sleeps until `fd` is readable or has hung up (poll(2) on one descriptor, an epoll one if there are several).
 * Resolves to poll's answer: 1, or a negative number. One at a time.
 */
export async function waitReadable(fd: number): Promise<number> {
  if (!opened) open({ library: 'libc', path: 'libc.so.6' })
  opened = true
  pollfd.writeInt32LE(fd, 0)
  pollfd.writeInt16LE(1, 4)
  return load({
    library: 'libc',
    funcName: 'poll',
    retType: DataType.I32,
    paramsType: [DataType.U8Array, DataType.I32, DataType.I32],
    paramsValue: [pollfd, 1, -1],
    runInNewThread: true,
  })
}
