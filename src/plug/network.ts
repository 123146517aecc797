// switch://: which network, and so which directory.
import { isAbsolute, join, resolve } from 'node:path'

import { parseVnl, refuse, type Vnl } from './vnl.ts'

/** A switch's directory, and what to call the network in messages. */
export interface Network {
  readonly name: string
  readonly directory: string
  /** Below the runtime directory: its parents are ours to make. */
  readonly own: boolean
}

/** The network that a VNL of scheme switch names. `runtime` gives the user's runtime directory. Throws a UserError. */
export function networkOf(vnl: Vnl, runtime: () => string): Network {
  if (!vnl.text.includes('://')) return { name: vnl.text, directory: vnl.address, own: false }
  const address = vnl.address === '' ? 'default' : vnl.address
  if (vnl.options.length > 0) refuse(vnl.text, `a switch has no option "${vnl.options[0][0]}"`)
  if (isAbsolute(address)) return { name: address, directory: resolve(address), own: false }
  if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/.test(address))
    refuse(
      vnl.text,
      'a name has up to 64 letters, digits, ".", "_" and "-", and does not begin with "."',
    )
  return { name: address, directory: join(runtime(), 'net', address), own: true }
}

/** The same for somebody who can use nothing but a switch. */
export function parseNetwork(text: string, runtime: () => string): Network {
  const vnl = parseVnl(text)
  if (vnl.scheme !== 'switch') refuse(text, 'a switch is wanted (switch://NAME, or a directory)')
  if (vnl.inner !== undefined) refuse(text, 'a switch wraps no other plug')
  return networkOf(vnl, runtime)
}
