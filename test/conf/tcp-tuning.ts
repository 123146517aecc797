import t from 'tap'
import { CONGESTION_CONTROLS, parseTuning, tuningForms } from '../../src/conf/tcp-tuning.ts'
import { congestionNamed, TUNING } from '../../src/stack/stack.ts'

for (const [text, want] of [
  ['cc=reno', { congestion: 'reno' }],
  ['cc=cubic,sack=0,ecn=1', { congestion: 'cubic', sack: false, ecn: 1 }],
  ['ecn=0,ecn=1', { ecn: 1 }],
  ['rmem=1m', { rmemMin: 8192, rmemDefault: 65_536, rmemMax: 1 << 20 }],
  ['rmem=5000', { rmemMin: 5000, rmemDefault: 5000, rmemMax: 5000 }],
  ['wmem=16k:1m', { wmemMin: 8192, wmemDefault: 16_384, wmemMax: 1 << 20 }],
  ['wmem=4096:16k:8m', { wmemMin: 4096, wmemDefault: 16_384, wmemMax: 8 << 20 }],
  ['user_timeout=0', { userTimeout: 0 }],
  [
    'keepalive_time=60,keepalive_intvl=5,keepalive_probes=3',
    { keepAliveTime: 60, keepAliveInterval: 5, keepAliveProbes: 3 },
  ],
] as const)
  t.same(parseTuning('x', text), want, `parseTuning() of "${text}"`)

for (const [text, why] of [
  ['', /^cannot use x: there is no "" \(there are cc rmem wmem sack .* user_timeout\)$/],
  ['cubic', /there is no "cubic"/],
  ['toString=1', /there is no "toString"/],
  ['cc=bbr', /^cannot use x: write cc=cubic\|reno$/],
  ['cc', /write cc=cubic\|reno/],
  ['cc=', /write cc=/],
  ['cc=cubic,', /there is no ""/],
  ['sack=2', /write sack=0\|1/],
  ['sack=yes', /write sack=0\|1/],
  ['ecn=3', /write ecn=0\.\.2/],
  ['initcwnd=0', /write initcwnd=1\.\.1000 segments/],
  ['rto_min=4', /write rto_min=5\.\.60000 ms/],
  ['rto_min=-1', /write rto_min/],
  ['rmem=4095', /write rmem=\[\[MIN:\]FIRST:\]MOST bytes/],
  ['rmem=9m', /write rmem/],
  ['rmem=2m:1m', /write rmem/],
  ['rmem=4k:8k:16k:32k', /write rmem/],
  ['rmem=4k::16k', /write rmem/],
  ['rmem=1g', /write rmem/],
] as const)
  t.throws(() => parseTuning('x', text), { message: why }, `parseTuning() of "${text}"`)

t.test(
  'every key sets fields that a stack has, of their types; its default can be written',
  async t => {
    for (const form of tuningForms()) {
      const [name, values] = form.split('=')
      const value = values.includes('bytes') ? '8k:64k:8m' : /^[a-z0-9]+/.exec(values)![0]
      for (const [field, set] of Object.entries(parseTuning('x', `${name}=${value}`)))
        t.type(set, typeof TUNING[field as keyof typeof TUNING], `${name}: ${field}`)
    }
    t.equal(
      new Set(
        tuningForms().flatMap(form =>
          Object.keys(
            parseTuning(
              'x',
              `${form.split('=')[0]}=${form.includes('bytes') ? '8k' : /=([a-z0-9]+)/.exec(form)![1]}`,
            ),
          ),
        ),
      ).size,
      Object.keys(TUNING).length,
      'and all of them',
    )
  },
)

for (const name of CONGESTION_CONTROLS) t.ok(congestionNamed(name) >= 0, name)
t.equal(congestionNamed('bbr'), -1)
