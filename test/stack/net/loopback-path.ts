import t from 'tap'
import { Loopback } from '../../../src/stack/link/loopback.ts'
import { Nic } from '../../../src/stack/link/nic.ts'
import type { LoopbackPath } from '../../../src/stack/net/loopback-path.ts'
import { Ipv6 } from '../../../src/stack/net/ipv6.ts'
import { Recorder, addr, host, interfaceAddress, macOf } from '../../helpers/net.ts'
import { ANY_V6 } from '../../../src/wire/address.ts'
import { EADDRNOTAVAIL, ENETUNREACH } from '../../../src/base/errno.ts'

/** Everything in the queue goes to `to`. */
function drain(loopback: Loopback, to: { loops: Ipv6['loops'] }): void {
  for (let at = loopback.peek(); at >= 0; at = loopback.peek()) {
    to.loops(loopback.bytes, at, loopback.length, loopback.raw, 0)
    loopback.release()
  }
}

t.test('IPv4 over loopback: up to 65,535 bytes, checksum valid', async t => {
  const { ipv4, loopback, protocol } = host(1)
  const path = ipv4.path(addr('127.0.0.1'), addr('127.0.0.2'), 6) as LoopbackPath
  t.same([path.mtu, path.maxDatagram, path.headerLength], [65_535, 65_535, 20])
  for (const length of [0, 20, 65_515]) {
    const at = path.open(length)
    path.bytes.fill(7, at, at + length)
    path.close(length)
  }
  t.throws(() => path.open(65_516), RangeError)
  drain(loopback, ipv4)
  t.same(
    protocol.arrived.map(a => a.text.length),
    [0, 20, 65_515],
  )
  t.ok(protocol.arrived.every(a => a.checksumValid && a.loopback && a.text.every(b => b === 7)))
  t.same(
    [protocol.arrived[0].src, protocol.arrived[0].dst],
    ['0:0:65535:2130706433', '0:0:65535:2130706434'],
  )
})

t.test('a path of a full loopback has no room', async t => {
  const { ipv4, loopback, protocol } = host(1)
  const path = ipv4.path(addr('10.0.0.1'), addr('10.0.0.1'), 6) as LoopbackPath
  let sent = 0
  while (path.open(60_000) >= 0) {
    path.close(60_000)
    sent++
  }
  drain(loopback, ipv4)
  t.equal(protocol.arrived.length, sent, 'and nothing is lost')
})

t.test('IPv6 within the stack', async t => {
  const loopback = new Loopback()
  const ipv6 = new Ipv6(new Nic(macOf(1)), loopback, () => 0)
  const { counters } = ipv6
  ipv6.addresses.add(interfaceAddress('fd00::5/64'))
  const protocol = new Recorder()
  ipv6.protocols.set(6, protocol)

  t.ok(ipv6.isLocal(addr('::1')))
  t.ok(ipv6.isLocal(addr('fd00::5')))
  t.notOk(ipv6.isLocal(addr('fd00::6')))
  t.equal(ipv6.path(ANY_V6, addr('fd00::6'), 6), -ENETUNREACH)
  t.equal(ipv6.path(addr('fd00::6'), addr('::1'), 6), -EADDRNOTAVAIL)
  t.equal(ipv6.path(addr('127.0.0.1'), addr('::1'), 6), -EADDRNOTAVAIL)
  t.equal(ipv6.sourceFor(addr('fd00::6')), -ENETUNREACH)
  t.same(ipv6.sourceFor(addr('fd00::5')), addr('fd00::5'))

  const path = ipv6.path(ANY_V6, addr('fd00::5'), 6)
  if (typeof path === 'number') return t.fail(`${path}`)
  t.equal(ipv6.path(addr('fd00::5'), addr('fd00::5'), 6), path, 'the same again')
  t.equal(path.headerLength, 40)
  const at = path.open(5)
  path.bytes.set(Buffer.from('hello'), at)
  path.close(5, 0, 16)
  const other = ipv6.path(addr('::1'), addr('fd00::5'), 17)
  if (typeof other === 'number') return t.fail(`${other}`)
  other.open(5)
  other.close(5, 0, 6)
  drain(loopback, ipv6)
  const five = `${0xfd000000}:0:0:5`
  t.match(protocol.arrived, [{ src: five, dst: five, checksumValid: true, loopback: true }])
  t.equal(protocol.arrived[0].text.toString(), 'hello')
  t.equal(counters.noProtocol, 1)
})

t.test('Ipv6.loops() refuses what is no whole packet', async t => {
  const ipv6 = new Ipv6(new Nic(macOf(1)), new Loopback(), () => 0)
  const { counters } = ipv6
  ipv6.loops(new Uint8Array(100), 0, 100, false, 0)
  ipv6.loops(Uint8Array.of(0x60), 0, 1, false, 0)
  t.equal(counters.badHeader, 2)
})
