// What the main thread hands to a stack thread, and what the two tell each other afterwards.
import type { MessagePort } from 'node:worker_threads'
import type { ConfigurationMemory, Obtained } from '../conf/configuration.ts'
import type { Settings } from '../conf/settings.ts'
import type { PlugNumbers } from '../plug/open.ts'

export interface ThreadData {
  /** The first thread of this stack, or one that takes up another's connections. */
  readonly fresh: boolean
  readonly name: string
  /** The stack's directory. */
  readonly dir: string
  readonly regionFd: number
  readonly regionAddress: number
  /** Private memories that outlive the thread. */
  readonly table: SharedArrayBuffer
  readonly calls: SharedArrayBuffer
  readonly tcbs: SharedArrayBuffer
  readonly control: SharedArrayBuffer
  readonly plug: number
  readonly tokenSize: number
  readonly epoll: number
  /** The main thread's doorbell. */
  readonly bell: number
  /** Listeners where programs connect their sockets, datagram sockets where they kick. */
  readonly connListeners: readonly number[]
  readonly kicks: readonly number[]
  /** The plug that the stack sits on. */
  readonly link: PlugNumbers | undefined
  /** Others on the link may have our addresses (PlugOpener). */
  readonly strangers: boolean
  readonly mac: string
  readonly settings: Settings
  /** What to call the network. */
  readonly net: string
  /** Of stable addresses (conf/interface-id.ts). */
  readonly secret: Uint8Array
  readonly identity: string
  /** What another thread of this stack had obtained. */
  readonly configuration: ConfigurationMemory | undefined
  readonly messages: MessagePort
}

/** Words of `control`. */
export const STOP = 0
export const HEARTBEAT = 1
export const CONTROL_BYTES = 64

export type ToThread =
  | { readonly type: 'link'; readonly numbers: PlugNumbers }
  /** Another station has claimed this address, which we obtained. */
  | { readonly type: 'taken'; readonly address: string }
  | { readonly type: 'slotEnded'; readonly slot: number }
  /** The last program has ended: send what is left, then say so. */
  | { readonly type: 'drain' }
  /** Tests: throw, or never come back. */
  | { readonly type: 'fault'; readonly kind: 'throw' | 'loop' }

export type FromThread =
  /** Programs can be served: the stack has what it waits for. */
  | { readonly type: 'ready'; readonly obtained: Obtained }
  /** Its configuration has changed. */
  | {
      readonly type: 'configured'
      readonly memory: ConfigurationMemory
      /** The addresses that others are to be kept from. */
      readonly claims: readonly string[]
    }
  /** It cannot have that; one sentence. */
  | { readonly type: 'refused'; readonly why: string }
  /** The other end of the plug is gone, or broke the rules. */
  | { readonly type: 'linkLost' }
  /** What slot `slot` held is free. */
  | { readonly type: 'slotFreed'; readonly slot: number }
  | { readonly type: 'drained' }
