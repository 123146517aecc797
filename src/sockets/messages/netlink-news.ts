// What netlink sockets in groups are told, each turn in which something has changed.
import { Monitor, type News as Event } from '../../netlink/monitor.ts'
import type { Stack } from '../../stack/stack.ts'

/** A socket in groups. */
export interface Listener {
  hears(group: number): boolean
  /** `seq`, `pid`: of the request that made it so; 0: none did. */
  told(event: Event, seq: number, pid: number): void
}

export class News {
  readonly listeners = new Set<Listener>()
  private readonly monitor: Monitor

  constructor(stack: Stack, now: number) {
    this.monitor = new Monitor(stack, now)
  }

  /** `echo`: who asked for the change, and wants to hear of it whatever groups it is in (NLM_F_ECHO). */
  tell(now: number, seq = 0, pid = 0, echo?: Listener): void {
    for (const event of this.monitor.look(now)) {
      for (const listener of this.listeners)
        if (listener !== echo && listener.hears(event.group)) listener.told(event, seq, pid)
      echo?.told(event, seq, pid)
    }
  }
}
