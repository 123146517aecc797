// Whatever a program sends, a stack's rtnetlink answers or refuses; it never throws, and the stack lives on.
import t from 'tap'
import { diagRequest } from '../../src/netlink/diag.ts'
import { routeRequest } from '../../src/netlink/rtnetlink.ts'
import { attribute, concat, i32s, u8s } from '../../src/wire/netlink.ts'
import { addressWish, contextOf, request, routeWish } from '../helpers/rtnetlink.ts'
import { random } from '../helpers/random.ts'
import { Node } from '../helpers/stacks.ts'

const SEEDS = [1, 2, 3, 4]
const COUNT = 4_000

const bodies = [
  i32s(0, 2, 1, 1),
  concat([i32s(0, 0, 0, 0), attribute(3, u8s(101, 116, 104, 48, 0)), attribute(4, i32s(1400))]),
  addressWish('10.7.0.5/16'),
  addressWish('fd00::7/64'),
  routeWish({ to: '10.9.0.0/16', via: '10.0.0.9', metric: 1 }),
  routeWish({ to: '2001:db8::/32', via: 'fd00::1' }),
  concat([
    u8s(2, 0, 0, 0, 2, 0, 0, 0, 128, 0, 0, 0),
    attribute(1, u8s(10, 0, 0, 9)),
    attribute(2, u8s(2, 0, 0, 0, 0, 9)),
  ]),
  new Uint8Array(56).fill(255, 4, 8).fill(2, 0, 1).fill(6, 1, 2),
]

for (const seed of SEEDS)
  t.test(`${COUNT} damaged requests, seed ${seed}`, async t => {
    const { stack } = new Node(5, { addresses: ['10.0.0.5/24', 'fd00::5/64'], gateway: '10.0.0.1' })
    const next = random(seed)
    let [done, refused, listed] = [0, 0, 0]
    for (let i = 0; i < COUNT; i++) {
      const body = Uint8Array.from(bodies[next() % bodies.length])
      for (let n = next() % 4; n > 0; n--) body[next() % body.length] = next()
      const cut = next() % 4 === 0 ? body.subarray(0, next() % (body.length + 1)) : body
      const type = next() % 8 === 0 ? next() % 65536 : 16 + (next() % 24)
      const asked = request(type, next() & 0xf00, cut)
      const context = contextOf(stack, next() % 2 === 0)
      const outcome =
        next() % 8 === 0
          ? diagRequest(context, { ...asked, type: 20 })
          : routeRequest(context, asked)
      if (outcome === undefined) done++
      else if ('errno' in outcome) refused++
      else if ('list' in outcome) listed += [...outcome.list].length
      if (i % 100 === 0) stack.run(i, 16)
    }
    t.ok(done > 10 && refused > 1000 && listed > 1000, `${done} ${refused} ${listed}`)
    t.ok(stack.ipv4.addresses.all.length + stack.ipv6.addresses.all.length <= 257)
  })
