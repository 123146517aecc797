import t from 'tap'
import { ETHER_HEADER_LEN, ETHERTYPE_IPV4, emitEthernet } from '../../src/wire/ethernet.ts'
import { parseMac } from '../../src/wire/mac.ts'

t.test('emitEthernet() writes destination, source, type', async t => {
  const bytes = new Uint8Array(ETHER_HEADER_LEN + 2)
  const dst = parseMac('02:00:00:00:00:01')!
  const src = parseMac('fe:dc:ba:98:76:54')!
  emitEthernet(bytes, 1, dst, src, ETHERTYPE_IPV4)
  t.equal(
    Buffer.from(bytes).toString('hex'),
    '00' + '020000000001' + 'fedcba987654' + '0800' + '00',
  )
})
