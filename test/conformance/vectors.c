/* readv(), writev(), sendmsg(), recvmsg() and their many-message forms. */
#include "net.h"

#include <limits.h>

static struct iovec piece(void *base, size_t len)
{
	return (struct iovec){.iov_base = base, .iov_len = len};
}

CASE("writev() sends its pieces in order, empty ones too")
{
	struct pair p = tcp_pair();
	struct iovec v[4] = {piece("one", 3), piece(NULL, 0), piece("two", 3), piece("three", 5)};

	equal(writev(p.client, v, 4), 11);
	expect_text(p.server, "onetwothree");
	close_pair(p);
}

CASE("readv() fills its pieces in order")
{
	struct pair p = tcp_pair();
	char a[3], b[4], c[10];
	struct iovec v[4] = {piece(a, 3), piece(NULL, 0), piece(b, 4), piece(c, 10)};

	send_text(p.client, "abcdefghi");
	wait_for(p.server, POLLIN);
	equal(readv(p.server, v, 4), 9);
	check(!memcmp(a, "abc", 3) && !memcmp(b, "defg", 4) && !memcmp(c, "hi", 2));
	close_pair(p);
}

CASE("readv() at the end gives 0; of an empty socket, non-blocking, EAGAIN")
{
	struct pair p = tcp_pair();
	char a[3];
	struct iovec v = piece(a, 3);

	set_nonblock(p.server, true);
	fails(readv(p.server, &v, 1), EAGAIN);
	must(shutdown(p.client, SHUT_WR));
	wait_for(p.server, POLLIN);
	equal(readv(p.server, &v, 1), 0);
	close_pair(p);
}

CASE("writev() and readv() of IOV_MAX pieces")
{
	struct pair p = tcp_pair();
	static struct iovec v[IOV_MAX], w[IOV_MAX];
	static char out[IOV_MAX * 3], in[IOV_MAX * 3];

	pattern_fill(out, sizeof(out), 0);
	for (int i = 0; i < IOV_MAX; i++) {
		v[i] = piece(out + i * 3, 3);
		w[i] = piece(in + i * 3, 3);
	}
	equal(writev(p.client, v, IOV_MAX), sizeof(out));
	wait_until(recv(p.server, in, sizeof(in), MSG_PEEK | MSG_DONTWAIT) == sizeof(in));
	memset(in, 0, sizeof(in));
	equal(readv(p.server, w, IOV_MAX), sizeof(in));
	pattern_check(in, sizeof(in), 0);
	close_pair(p);
}

CASE("more than IOV_MAX pieces, or fewer than none: EINVAL; by sendmsg and recvmsg: EMSGSIZE")
{
	struct pair p = tcp_pair();
	static struct iovec v[IOV_MAX + 1];
	struct msghdr m = {.msg_iov = v, .msg_iovlen = IOV_MAX + 1};
	static char c;
	volatile int fewer = -1;

	for (int i = 0; i <= IOV_MAX; i++)
		v[i] = piece(&c, 1);
	fails(writev(p.client, v, IOV_MAX + 1), EINVAL);
	fails(readv(p.server, v, IOV_MAX + 1), EINVAL);
	fails(writev(p.client, v, fewer), EINVAL);
	fails(readv(p.server, v, fewer), EINVAL);
	fails(sendmsg(p.client, &m, 0), EMSGSIZE);
	fails(recvmsg(p.server, &m, 0), EMSGSIZE);
	close_pair(p);
}

CASE("writev() of no pieces: 0")
{
	struct pair p = tcp_pair();
	struct iovec v = piece("x", 1);

	equal(writev(p.client, &v, 0), 0);
	send_text(p.client, "y");
	expect_text(p.server, "y");
	close_pair(p);
}

CASE("writev() non-blocking: what fits, each byte once")
{
	struct pair p = tcp_pair();
	size_t total = 4 << 20, done = 0;
	static char block[60000];
	pid_t pid = child();

	if (pid == 0) {
		pattern_expect(p.server, total, 8192);
		_exit(0);
	}
	set_nonblock(p.client, true);
	while (done < total) {
		size_t want = total - done < sizeof(block) ? total - done : sizeof(block);
		struct iovec v[3] = {piece(block, want / 3), piece(block + want / 3, 1),
				     piece(block + want / 3 + 1, want - want / 3 - 1)};
		ssize_t n;

		pattern_fill(block, want, done);
		n = writev(p.client, v, want > 3 ? 3 : 1);
		if (n >= 0)
			done += n;
		else if (errno == EAGAIN)
			wait_for(p.client, POLLOUT);
		else
			must(n);
	}
	reap(pid);
	close_pair(p);
}

CASE("writev() blocking takes everything")
{
	struct pair p = tcp_pair();
	size_t n = 2 << 20;
	char *buf = malloc(2 * n);
	struct iovec v[2] = {piece(buf, n), piece(buf + n, n)};
	pid_t pid = child();

	check(buf);
	if (pid == 0) {
		pattern_expect(p.server, 2 * n, 65536);
		_exit(0);
	}
	pattern_fill(buf, 2 * n, 0);
	equal(writev(p.client, v, 2), 2 * n);
	reap(pid);
	free(buf);
	close_pair(p);
}

CASE("sendmsg() and recvmsg(): text, no address, no control, no flags")
{
	struct pair p = tcp_pair();
	char a[4], b[20], control[64];
	struct sockaddr_in name;
	struct iovec out[2] = {piece("gather", 6), piece("ed", 2)};
	struct iovec in[2] = {piece(a, 4), piece(b, 20)};
	struct msghdr m = {.msg_iov = out, .msg_iovlen = 2};

	equal(sendmsg(p.client, &m, 0), 8);
	wait_for(p.server, POLLIN);
	m = (struct msghdr){.msg_name = &name,
			    .msg_namelen = sizeof(name),
			    .msg_iov = in,
			    .msg_iovlen = 2,
			    .msg_control = control,
			    .msg_controllen = sizeof(control),
			    .msg_flags = -1};
	equal(recvmsg(p.server, &m, 0), 8);
	check(!memcmp(a, "gath", 4) && !memcmp(b, "ered", 4));
	equal(m.msg_namelen, 0);
	equal(m.msg_controllen, 0);
	equal(m.msg_flags & (MSG_TRUNC | MSG_CTRUNC | MSG_OOB), 0);
	close_pair(p);
}

CASE("recvmsg() with MSG_PEEK, MSG_DONTWAIT and MSG_WAITALL")
{
	struct pair p = tcp_pair();
	char a[2], b[4];
	struct iovec v[2] = {piece(a, 2), piece(b, 4)};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};

	fails(recvmsg(p.server, &m, MSG_DONTWAIT), EAGAIN);
	send_text(p.client, "abcdef");
	wait_for(p.server, POLLIN);
	equal(recvmsg(p.server, &m, MSG_PEEK), 6);
	check(!memcmp(a, "ab", 2) && !memcmp(b, "cdef", 4));
	memset(b, 0, 4);
	equal(recvmsg(p.server, &m, MSG_WAITALL), 6);
	check(!memcmp(a, "ab", 2) && !memcmp(b, "cdef", 4));
	close_pair(p);
}

CASE("sendmsg() with a name on a connected socket ignores it")
{
	struct pair p = tcp_pair();
	struct sockaddr_in other = here(9);
	struct iovec v = piece("named", 5);
	struct msghdr m = {
	    .msg_name = &other, .msg_namelen = sizeof(other), .msg_iov = &v, .msg_iovlen = 1};

	equal(sendmsg(p.client, &m, 0), 5);
	expect_text(p.server, "named");
	close_pair(p);
}

CASE("sendmmsg() and recvmmsg()")
{
	struct pair p = tcp_pair();
	char in[2][3];
	struct iovec out[3] = {piece("abc", 3), piece("def", 3), piece("ghi", 3)};
	struct iovec want[2] = {piece(in[0], 3), piece(in[1], 3)};
	struct mmsghdr m[3] = {0};

	for (int i = 0; i < 3; i++)
		m[i].msg_hdr = (struct msghdr){.msg_iov = &out[i], .msg_iovlen = 1};
	equal(sendmmsg(p.client, m, 3, 0), 3);
	for (int i = 0; i < 3; i++)
		equal(m[i].msg_len, 3);
	wait_until(({
		char all[9];

		recv(p.server, all, 9, MSG_PEEK | MSG_DONTWAIT) == 9;
	}));
	for (int i = 0; i < 2; i++)
		m[i].msg_hdr = (struct msghdr){.msg_iov = &want[i], .msg_iovlen = 1};
	equal(recvmmsg(p.server, m, 2, MSG_DONTWAIT, NULL), 2);
	check(m[0].msg_len == 3 && m[1].msg_len == 3);
	check(!memcmp(in[0], "abc", 3) && !memcmp(in[1], "def", 3));
	expect_text(p.server, "ghi");
	fails(recvmmsg(p.server, m, 2, MSG_DONTWAIT, NULL), EAGAIN);
	close_pair(p);
}

CASE("recvmmsg() gives what is there once there is something, with MSG_WAITFORONE")
{
	struct pair p = tcp_pair();
	char in[2][10];
	struct iovec want[2] = {piece(in[0], 10), piece(in[1], 10)};
	struct mmsghdr m[2] = {0};

	for (int i = 0; i < 2; i++)
		m[i].msg_hdr = (struct msghdr){.msg_iov = &want[i], .msg_iovlen = 1};
	send_text(p.client, "one");
	equal(recvmmsg(p.server, m, 2, MSG_WAITFORONE, NULL), 1);
	equal(m[0].msg_len, 3);
	close_pair(p);
}

CASE("preadv(), pwritev(): ESPIPE; at offset -1, readv() and writev()")
{
	struct pair p = tcp_pair();
	char a[3];
	struct iovec in = piece(a, 3), out = piece("v2!", 3);

	fails(preadv(p.server, &in, 1, 0), ESPIPE);
	fails(pwritev(p.client, &out, 1, 0), ESPIPE);
	equal(pwritev2(p.client, &out, 1, -1, 0), 3);
	wait_for(p.server, POLLIN);
	equal(preadv2(p.server, &in, 1, -1, 0), 3);
	check(!memcmp(a, "v2!", 3));
	close_pair(p);
}
