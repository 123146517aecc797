import t from 'tap'
import { randomWords } from '../../src/base/random.ts'

t.test('randomWords() gives each word of the source once, and asks once in 256', async t => {
  let asked = 0
  let count = 0
  const next = randomWords(bytes => {
    asked++
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
    for (let i = 0; i < words.length; i++) words[i] = 0x80000000 + count++
  })
  const seen = new Set<number>()
  for (let i = 0; i < 512; i++) seen.add(next())
  t.equal(asked, 2)
  t.equal(seen.size, 512)
  t.ok(
    [...seen].every(word => word >= 0x80000000 && word < 0x80000200),
    'unsigned',
  )
})
