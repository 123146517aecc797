// The language of packet scripts (helpers/script.ts): what is wrong in a script fails, and says why.
import t from 'tap'
import { parseScripts, runScript } from './helpers/script.ts'
import { Outbox } from './helpers/tcp-pair.ts'

const one = (lines: string) => parseScripts('x', `== title\n${lines}`)[0]

for (const [name, lines, says] of [
  [
    'a segment at another time',
    'write 10\n+0.1 > P. 1:11(10) ack 1',
    'time is   0.000000, not   0.1',
  ],
  [
    'a segment outside a range',
    'write 10\n> P. 1:11(10) ack 1\n+0~+0.1 > P. 1:11(10) ack 1',
    /nothing/,
  ],
  ['a segment that does not come', '+1 > . 1:1(0) ack 1', 'nothing was sent until   1.000000'],
  ['a segment too many', 'write 10\n+1 = ESTABLISHED', 'not expected:   0.000000  > P. 1:11(10)'],
  ['a segment too many at the end', 'write 10', 'not expected:   0.000000  > P. 1:11(10)'],
  ['another number', 'write 10\n> P. 2:12(10) ack 1', 'seq is 1, not 2'],
  ['another length', 'write 10\n> P. 1:12(11) ack 1', 'length is 10, not 11'],
  ['another acknowledgment', 'write 10\n> P. 1:11(10) ack 2', 'ack is 1, not 2'],
  ['other flags', 'write 10\n> . 1:11(10) ack 1', 'flags is P., not .'],
  ['another window', 'write 10\n> P. 1:11(10) ack 1 win 5', 'win is 65535, not 5'],
  ['another option', 'write 10\n> P. 1:11(10) ack 1 <mss 5>', 'options are <>, not <mss 5>'],
  ['another peer', 'write 10\n2: > P. 1:11(10) ack 1', 'another peer'],
  ['another state', '= CLOSING', 'the state is ESTABLISHED, not CLOSING'],
  ['an event that did not come', '= EV_FIN', 'it did not come'],
  ['an event that came', '< F. 1:1(0) ack 1\n> . 1:1(0) ack 2\n= !EV_FIN', 'it came'],
  ['another figure', '= snd_cwnd 11', 'snd_cwnd is 10, not 11'],
  ['another counter', '= counter segsIn 5', 'counter is 2, not 5'],
  ['text that is not there', 'read 5', 'only 0 bytes'],
  [
    'another text',
    '< P. 1:4(3) ack 1 "abc"\n> . 1:1(0) ack 4\nread "abd"',
    'not what the peer sent',
  ],
  ['a result', 'setsockopt MAXSEG 5', 'setsockopt gives EINVAL, not 0'],
] as const)
  t.test(`${name} fails a script`, async t => {
    const failure = runScript(one(`established\n${lines}`), 4)
    if (typeof says === 'string') t.ok(failure.includes(says), failure)
    else t.match(failure, says)
  })

for (const [name, lines, says] of [
  ['no step', 'jump 5 = = 3', 'x:2: jump 5 = = 3: no step'],
  ['a length that is none', '> . 1:5(3) ack 1', '1:5 is not 3 long'],
  ['text of another length', '< . 1:5(4) ack 1 "abc"', '"abc" is 3 long'],
  ['an unknown codepoint', '< [ect5] . 1:5(4) ack 1', 'no ECN codepoint: ect5'],
  ['a title twice', '== title', 'another script has this title'],
] as const)
  t.test(`${name} is refused with its line`, async t => {
    try {
      one(lines)
      t.fail('it is understood')
    } catch (error) {
      t.ok((error as Error).message.includes(says), (error as Error).message)
    }
  })

for (const [name, lines] of [
  ['times from the step before, and from the beginning', '+1 = ESTABLISHED\n1 = ESTABLISHED'],
  ['a range', 'write 1\n+0~+0.5 > P. 1:2(1) ack 1'],
  ['any option', '2: < S 0:0(0) win 9 <sackOK>\n2: > S. 0:0(0) ack 1 <...>'],
  [
    'an option with any value',
    '2: < S 0:0(0) <TS val 9 ecr 0>\n2: > S. 0:0(0) ack 1 <mss *,TS val * ecr 9>',
  ],
  ['NOPs do not count', '2: < S 0:0(0) <nop,sackOK>\n2: > S. 0:0(0) ack 1 <mss 1460,sackOK>'],
  ['comments', '// a line\n= ESTABLISHED // another'],
] as const)
  t.test(`${name}: understood`, async t => {
    t.equal(runScript(one(`established\n${lines}`), 6), '')
  })

t.test('text on the wire that was not written fails a script', async t => {
  const { copy } = Outbox.prototype
  t.teardown(() => (Outbox.prototype.copy = copy))
  Outbox.prototype.copy = function (offset, n, dst, at) {
    copy.call(this, offset, n, dst, at)
    dst[at] ^= 1
  }
  const failure = runScript(one('established\nwrite 3\n> P. 1:4(3) ack 1'), 4)
  t.match(failure, /byte 0 of P. 1:4\(3\) .* is not what was written there/)
})
