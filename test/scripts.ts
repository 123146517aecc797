// TCP packet by packet: every script of test/scripts/, over IPv4 and IPv6, and once with sequence numbers that wrap. Their
// language: helpers/script.ts.
import { readFileSync, readdirSync } from 'node:fs'
import t from 'tap'
import { nearWrap, parseScripts, runScript } from './helpers/script.ts'

const topics = readdirSync('test/scripts').filter(file => file.endsWith('.pkt'))

for (const topic of topics)
  t.test(topic.replace('.pkt', ''), async t => {
    const file = `test/scripts/${topic}`
    for (const script of parseScripts(file, readFileSync(file, 'utf8'))) {
      for (const family of script.families) {
        const failure = runScript(script, family)
        t.ok(failure === '', `${script.title} (IPv${family})`, { failure })
      }
      const failure = runScript(nearWrap(script), script.families[0])
      t.ok(failure === '', `${script.title} (numbers wrap)`, { failure })
    }
  })
