// null://: nobody is there. What is sent is swallowed, and nothing comes.
import * as libc from '../ffi/libc.ts'
import { MAX_FRAME } from '../ring/frame-ring.ts'
import type { FrameSink } from '../stack/link/sink.ts'
import type { Plug } from './plug.ts'

export interface NullNumbers {
  /** Never readable: something for epoll. */
  readonly fd: number
}

export function openNull(): NullNumbers {
  const fd = libc.eventfd()
  if (fd < 0) throw new Error(`eventfd gave errno ${-fd}`)
  return { fd }
}

class NullSink implements FrameSink {
  readonly mtu = 1500
  readonly maxFrame = MAX_FRAME
  readonly offload = true
  readonly bytes = new Uint8Array(MAX_FRAME)
  open(): number {
    return 0
  }
  close(): void {}
}

export class NullPlug implements Plug {
  readonly sink = new NullSink()
  readonly fd: number
  readonly controlFd = -1
  readonly broken = false
  readonly next = Infinity

  constructor({ fd }: NullNumbers) {
    this.fd = fd
  }
  receive(): number {
    return 0
  }
  flush(): void {}
  arm(): boolean {
    return true
  }
  wake(): void {}
  close(): void {
    libc.close(this.fd)
  }
}
