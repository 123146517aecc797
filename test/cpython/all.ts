// All of CPython's network tests: `make test-cpython`. What it says of itself in a network namespace of the kernel's is
// right; then in both modes under ioth-run.
import t from 'tap'

import { cpython, noSuite, type Leg, type Results } from '../helpers/cpython.ts'

const MODULES = `
  test_socket test_selectors test_select test_poll test_epoll test_timeout test_socketserver test_ssl test_httplib
  test_httpservers test_ftplib test_smtplib test_poplib test_imaplib test_telnetlib test_xmlrpc test_urllib2_localnet
  test_wsgiref test_asyncore test_asynchat test_smtpd test_nntplib test_docxmlrpc test_logging test_signal test_eintr
  test_multiprocessing_fork test_asyncio`
  .split(/\s+/)
  .filter(Boolean)

t.setTimeout(60 * 60_000)

if (noSuite !== undefined) t.fail(noSuite)
else {
  const wanted = process.env.CPYTHON?.split(',') ?? []
  const legs: Leg[] = process.geteuid?.() === 0 ? ['linux', 'ring', 'native'] : ['ring', 'native']
  for (const module of MODULES.filter(m => wanted.length === 0 || wanted.includes(m)))
    t.test(module, async t => {
      let linux: Results | undefined
      for (const leg of legs)
        await t.test(leg, async t => {
          const results = await cpython(t, leg, module, linux)
          if (leg === 'linux') linux = results
        })
    })
}
