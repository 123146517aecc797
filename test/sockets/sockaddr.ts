import t from 'tap'
import { EADDRNOTAVAIL, EAFNOSUPPORT, EINVAL, ENETUNREACH, ENODEV } from '../../src/base/errno.ts'
import { AF_INET, AF_INET6 } from '../../src/ffi/libc.ts'
import {
  bindScope,
  connectScope,
  parseBindAddress,
  parseSockaddr,
  scopeIdOf,
} from '../../src/sockets/sockaddr.ts'
import { addr } from '../helpers/net.ts'

/** struct sockaddr_in6 */
function in6(text: string, port: number, scope = 0): Uint8Array {
  const bytes = new Uint8Array(28)
  new DataView(bytes.buffer).setUint16(0, AF_INET6, true)
  new DataView(bytes.buffer).setUint16(2, port)
  addr(text).write(bytes, 8)
  new DataView(bytes.buffer).setUint32(24, scope, true)
  return bytes
}

/** struct sockaddr_in */
function in4(text: string, port: number, family: number = AF_INET): Uint8Array {
  const bytes = new Uint8Array(16)
  bytes[0] = family
  new DataView(bytes.buffer).setUint16(2, port)
  new DataView(bytes.buffer).setInt32(4, addr(text).d)
  return bytes
}

t.test('parseSockaddr() takes port, address, and the scope of a link-local one', async t => {
  const parse = (bytes: Uint8Array, length = bytes.length, family: number = AF_INET6) =>
    parseSockaddr(bytes, length, family)
  t.same(parse(in4('10.0.0.1', 80), 16, AF_INET), { address: addr('10.0.0.1'), port: 80, scope: 0 })
  t.same(parse(in6('2001:db8::1', 443)), { address: addr('2001:db8::1'), port: 443, scope: 0 })
  t.match(parse(in6('2001:db8::1', 443, 9)), { scope: 0 }, 'of a global one it does not matter')
  t.match(parse(in6('fe80::1', 443, 2)), { scope: 2 })
  t.match(parse(in6('fe80::1', 443, 0xffffffff)), { scope: 0xffffffff })
  t.match(parse(in6('fe80::1', 443, 2), 24), { scope: 0 }, 'RFC 2133')
})

t.test('parseSockaddr() refuses short and foreign ones', async t => {
  for (let length = 0; length < 24; length++)
    t.equal(parseSockaddr(in6('::1', 1), length, AF_INET6), -EINVAL)
  for (let length = 0; length < 16; length++)
    t.equal(parseSockaddr(in4('10.0.0.1', 1), length, AF_INET), -EINVAL)
  t.equal(parseSockaddr(in4('10.0.0.1', 1), 16, AF_INET6), -EINVAL)
  t.equal(parseSockaddr(in6('::1', 1), 28, AF_INET), -EAFNOSUPPORT)
  t.equal(parseSockaddr(in4('10.0.0.1', 1, 0), 16, AF_INET), -EAFNOSUPPORT)
})

t.test('parseBindAddress() takes AF_UNSPEC with the wildcard for AF_INET', async t => {
  t.match(parseBindAddress(in4('0.0.0.0', 7, 0), 16, AF_INET), { port: 7, scope: 0 })
  t.equal(parseBindAddress(in4('10.0.0.1', 7, 0), 16, AF_INET), -EAFNOSUPPORT)
})

/** As Linux answers on a machine whose interfaces are 1 (loopback) and 2. */
for (const [address, scope, bind, connect, bound] of [
  ['fe80::1', 0, -EINVAL, -EINVAL, 0],
  ['fe80::1', 1, -EADDRNOTAVAIL, -ENETUNREACH, -ENETUNREACH],
  ['fe80::1', 2, 0, 0, 0],
  ['fe80::1', 99, -ENODEV, -ENETUNREACH, -ENETUNREACH],
  ['2001:db8::1', 0, 0, 0, 0],
  ['10.0.0.1', 0, 0, 0, 0],
] as const)
  t.test(`${address} with scope ${scope}: bind ${bind}, connect ${connect}`, async t => {
    const to = { address: addr(address), port: 80, scope }
    t.equal(bindScope(to), bind)
    t.equal(connectScope(to, addr('::')), connect)
    t.equal(connectScope(to, addr('fe80::2')), bound, 'bound to a link-local address')
  })

t.test('scopeIdOf() is the interface of a link-local address', async t => {
  for (const [text, want] of [
    ['fe80::1', 2],
    ['febf::1', 2],
    ['2001:db8::1', 0],
    ['::1', 0],
    ['169.254.0.1', 0],
  ] as const)
    t.equal(scopeIdOf(addr(text)), want, text)
})
