import t from 'tap'

import { Registry } from '../../src/switch/registry.ts'
import { Address } from '../../src/wire/address.ts'
import { Mac } from '../../src/wire/mac.ts'

const ip = (d: number) => Address.v4(0x0a000000 | d)
const mac = (n: number) => new Mac(0x0200, n)

t.test('claim(): the first has it, and the second is told who', async t => {
  const registry = new Registry<string>()
  t.equal(registry.claim('a', mac(1), [ip(1), ip(2)]), undefined)
  t.same(registry.claim('b', mac(2), [ip(3), ip(2)]), { address: ip(2), owner: 'a' })
  t.same(registry.claim('b', mac(1), [ip(3)]), { address: undefined, owner: 'a' })
  t.equal(
    registry.claim('c', mac(3), [ip(3)]),
    undefined,
    'a claim that failed left nothing behind',
  )
  t.equal(registry.claim('a', mac(1), [ip(1)]), undefined, 'what is one’s own is no conflict')
  t.equal(
    registry.claim('d', mac(4), [new Address(0, 0, 0, ip(1).d)]),
    undefined,
    'IPv6 is not IPv4',
  )
})

t.test('release() gives back one’s own, releaseAll() everything', async t => {
  const registry = new Registry<string>()
  registry.claim('a', mac(1), [ip(1), ip(2)])
  registry.release('b', [ip(1)])
  t.same(registry.claim('b', mac(2), [ip(1)])?.owner, 'a')
  registry.release('a', [ip(1)])
  t.equal(registry.claim('b', mac(2), [ip(1)]), undefined)
  t.equal(registry.count('a'), 2)
  registry.releaseAll('a')
  t.equal(registry.count('a'), 0)
  t.equal(registry.claim('b', mac(1), [ip(2)]), undefined)
  t.same(registry.claim('a', mac(1), [])?.owner, 'b')
})
