// Those of CPython's own network tests that end soon, in both modes; test/cpython/ has them all.
import t from 'tap'

import { cpython, noSuite } from '../helpers/cpython.ts'

const QUICK = `
  test_socket test_select test_epoll test_timeout test_socketserver test_httplib test_httpservers test_ftplib
  test_smtplib test_telnetlib test_wsgiref test_asyncore test_asynchat test_nntplib`
  .split(/\s+/)
  .filter(Boolean)

t.setTimeout(10 * 60_000)

if (noSuite !== undefined) t.fail(noSuite)
else
  for (const leg of ['ring', 'native'] as const)
    t.test(leg, async t => {
      t.jobs = 2
      for (const module of QUICK)
        t.test(module, async t => {
          await cpython(t, leg, module)
        })
    })
