import t from 'tap'

import * as libc from '../../src/ffi/libc.ts'

t.test('EpollEvents.wait(): whole and broken milliseconds, events with their data', async t => {
  const epoll = libc.epollCreate()
  const events = new libc.EpollEvents(4)
  const bell = libc.eventfd()
  t.equal(libc.epollCtl(epoll, libc.EPOLL_CTL_ADD, bell, libc.EPOLLIN, 0x80000007), 0)
  for (const ms of [0, 2, 2.3, 999.9999999999 / 300]) {
    const start = performance.now()
    t.equal(events.wait(epoll, ms), 0)
    t.ok(performance.now() - start >= ms, `${ms} ms`)
  }
  libc.eventfdSignal(bell)
  for (const ms of [0, 10, 10.5, -1]) {
    t.equal(events.wait(epoll, ms), 1, `${ms} ms`)
    t.equal(events.data(0), 0x80000007)
    t.equal(events.events(0), libc.EPOLLIN)
  }
  t.ok(events.wait(bell, 0.5) < 0, 'no epoll descriptor')
  libc.close(bell)
  libc.close(epoll)
})
