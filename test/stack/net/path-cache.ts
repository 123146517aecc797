import t from 'tap'
import { PathCache } from '../../../src/stack/net/path-cache.ts'
import type { DatagramPath } from '../../../src/stack/net/path.ts'
import { Address } from '../../../src/wire/address.ts'
import { addr } from '../../helpers/net.ts'

const pathOf = (src: Address, dst: Address) => ({ src, dst }) as DatagramPath

t.test('PathCache finds by source, destination and protocol, all three', async t => {
  const cache = new PathCache()
  const [a, b, c] = [addr('10.0.0.1'), addr('10.0.0.2'), addr('::1')]
  const path = pathOf(a, b)
  t.equal(cache.find(a, b, 6), undefined)
  cache.keep(path, 6)
  t.equal(cache.find(addr('10.0.0.1'), addr('10.0.0.2'), 6), path)
  t.equal(cache.find(a, b, 1), undefined)
  t.equal(cache.find(b, a, 6), undefined)
  t.equal(cache.find(c, b, 6), undefined)
})

t.test(
  'PathCache never gives a wrong path, however many there are, and keeps most of few',
  async t => {
    const cache = new PathCache()
    const src = addr('10.0.0.1')
    const paths = Array.from({ length: 5000 }, (_, i) => pathOf(src, Address.v4(0x0a010000 + i)))
    for (const path of paths) cache.keep(path, 6)
    let found = 0
    for (const path of paths) {
      const it = cache.find(src, path.dst, 6)
      if (it === path) found++
      else if (it !== undefined) t.fail('another path')
    }
    t.ok(found > 500 && found <= 1024, `${found} of 5000`)
    for (const path of paths.slice(0, 100)) cache.keep(path, 6)
    const few = paths.slice(0, 100).filter(path => cache.find(src, path.dst, 6) === path)
    t.ok(few.length > 85, `${few.length} of 100`)
  },
)
