// How a stack comes by its addresses, routes and mtu, and what goes with them.
import type { Stack } from '../stack/stack.ts'
import { formatAddress, formatPrefix, parseAddress, parsePrefix } from '../wire/address-text.ts'
import type { Settings } from './settings.ts'

/** What a stack has, as text: for people, and for who answers resolvers. */
export interface Obtained {
  readonly addresses: readonly string[]
  readonly routes: readonly string[]
  readonly dns: readonly string[]
  readonly search: readonly string[]
}

export class Configuration {
  private readonly stack: Stack
  private readonly settings: Settings

  /** Takes the addresses and routes that are given. */
  constructor(stack: Stack, settings: Settings) {
    this.stack = stack
    this.settings = settings
    if (settings.mtu !== undefined) stack.nic.limitMtu(settings.mtu)
    for (const address of settings.addresses) stack.addAddress(parsePrefix(address)!)
    for (const { destination, gateway, metric } of settings.routes)
      stack.addRoute({
        destination: parsePrefix(destination)!,
        gateway: gateway === undefined ? undefined : parseAddress(gateway)!,
        source: undefined,
        metric,
        origin: 'static',
        expires: Infinity,
      })
  }

  /** Why this link is none for us, in one sentence. */
  refusal(linkMtu: number): string | undefined {
    const { mtu = 0 } = this.settings
    if (mtu <= linkMtu) return undefined
    return `cannot use mtu ${mtu}: the network carries packets of ${linkMtu} bytes`
  }

  get obtained(): Obtained {
    const { ipv4, ipv6 } = this.stack
    const { dns, search } = this.settings
    return {
      addresses: [...ipv4.addresses.all, ...ipv6.addresses.all].map(formatPrefix),
      routes: [...ipv4.routes.all, ...ipv6.routes.all]
        .filter(({ origin }) => origin !== 'connected')
        .map(({ destination, gateway }) =>
          gateway === undefined
            ? formatPrefix(destination)
            : `${formatPrefix(destination)} via ${formatAddress(gateway)}`,
        ),
      dns,
      search,
    }
  }
}
