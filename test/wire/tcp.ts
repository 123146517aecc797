import t from 'tap'
import * as tcp from '../../src/wire/tcp.ts'

// A SYN from a capture: 192.168.1.2:51234 to port 443, MSS 1460, SACK permitted, timestamps, window shift 7.
const SYN = Uint8Array.from(
  Buffer.from(
    'c82201bb1e2d3c4b00000000a002faf0abcd0000020405b40402080a00112233000000000103' + '0307',
    'hex',
  ),
)

t.test('fields of a captured SYN', async t => {
  t.equal(tcp.srcPort(SYN, 0), 51234)
  t.equal(tcp.dstPort(SYN, 0), 443)
  t.equal(tcp.sequence(SYN, 0), 0x1e2d3c4b)
  t.equal(tcp.acknowledgment(SYN, 0), 0)
  t.equal(tcp.dataOffset(SYN, 0), 40)
  t.equal(tcp.controlBits(SYN, 0), tcp.SYN)
  t.equal(tcp.windowField(SYN, 0), 64240)
  t.equal(tcp.urgentPointer(SYN, 0), 0)
})

t.test('isWhole() at every length', async t => {
  for (let n = 0; n <= SYN.length; n++) t.equal(tcp.isWhole(SYN, 0, n), n === SYN.length, `${n}`)
})

t.test('isWhole() with every data offset', async t => {
  const b = new Uint8Array(60)
  for (let words = 0; words < 16; words++) {
    b[12] = words << 4
    t.equal(tcp.isWhole(b, 0, 60), words >= 5, `${words} words in 60 bytes`)
    t.equal(tcp.isWhole(b, 0, 40), words >= 5 && words <= 10, `${words} words in 40 bytes`)
  }
})

t.test('writeHeader() is read back, at an offset, numbers above 2^31', async t => {
  const b = new Uint8Array(64).fill(0xaa)
  const ports = { localPort: 65535, remotePort: 1 }
  tcp.writeHeader(b, 3, ports, 0xfffffff0, -2, 32, tcp.ACK | tcp.FIN, 65535)
  t.equal(tcp.srcPort(b, 3), 65535)
  t.equal(tcp.dstPort(b, 3), 1)
  t.equal(tcp.sequence(b, 3), -16)
  t.equal(tcp.acknowledgment(b, 3), -2)
  t.equal(tcp.dataOffset(b, 3), 32)
  t.equal(tcp.controlBits(b, 3), tcp.ACK | tcp.FIN)
  t.equal(tcp.windowField(b, 3), 65535)
  t.equal(tcp.urgentPointer(b, 3), 0)
  t.equal(b[3 + 16] | b[3 + 17], 0, 'no checksum yet')
  t.equal(b[2], 0xaa)
  t.equal(b[23], 0xaa)
})
