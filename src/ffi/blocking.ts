// Host calls that may block for long, off the loop: ffi-rs runs them on a thread of libuv's pool.
//
// Arguments are plain numbers, memory goes by its address. With a Buffer as argument (ffi-rs 1.3.7) the heap was damaged:
// stack servers ended by SIGSEGV in malloc() in three of five runs of some minutes, with an address in none of six.
import { DataType, load, open } from 'ffi-rs'
import * as libc from './libc.ts'

let opened = false

/** struct pollfd, in memory that nothing moves or frees: the thread that polls writes into it. */
const POLLFD_SIZE = 8
const address = libc.mmap(-1, POLLFD_SIZE)
if (address < 0) throw new Error(`no memory for poll (errno ${-address})`)
const pollfd = new DataView(libc.view(address, POLLFD_SIZE))

/**
 * Sleeps until `fd` is readable or has hung up (poll(2) on one descriptor, an epoll one if there are several).
 * Resolves to poll's answer: 1, or a negative number. One at a time.
 */
export async function waitReadable(fd: number): Promise<number> {
  if (!opened) open({ library: 'libc', path: 'libc.so.6' })
  opened = true
  pollfd.setInt32(0, fd, true)
  pollfd.setInt16(4, libc.POLLIN, true)
  return load({
    library: 'libc',
    funcName: 'poll',
    retType: DataType.I32,
    paramsType: [DataType.I64, DataType.I32, DataType.I32],
    paramsValue: [address, 1, -1],
    runInNewThread: true,
  })
}
