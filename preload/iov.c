/* Vectors of buffers: checked as the kernel checks them, and walked while text is copied. */
#include "ioth.h"

static int check(const struct iovec *iov, size_t n, size_t *total, bool room)
{
	const size_t most = 0x7ffff000; /* MAX_RW_COUNT: no call moves more */
	size_t sum = 0;

	if (unreadable(iov, n * sizeof(*iov)))
		return -EFAULT;
	for (size_t i = 0; i < n; i++) {
		const struct iovec *part = &iov[i];

		if ((ssize_t)part->iov_len < 0)
			return -EINVAL;
		if (room ? unwritable(part->iov_base, part->iov_len)
			 : unreadable(part->iov_base, part->iov_len))
			return -EFAULT;
		sum += part->iov_len < most - sum ? part->iov_len : most - sum;
	}
	*total = sum;
	return 0;
}

int iov_check(const struct iovec *iov, size_t n, size_t *total)
{
	return check(iov, n, total, false);
}

int iov_check_room(const struct iovec *iov, size_t n, size_t *total)
{
	return check(iov, n, total, true);
}

size_t iov_rest(const struct iovec *iov, int n, size_t skip, struct iovec *rest)
{
	size_t parts = 0;

	for (int i = 0; i < n; i++) {
		size_t off = skip < iov[i].iov_len ? skip : iov[i].iov_len;

		skip -= off;
		if (iov[i].iov_len == off)
			continue;
		rest[parts++] =
		    (struct iovec){(uint8_t *)iov[i].iov_base + off, iov[i].iov_len - off};
	}
	return parts;
}

/** The first `len` bytes of a vector, into `cut` (n long): how many parts. */
int iov_cut(const struct iovec *iov, int n, size_t len, struct iovec *cut)
{
	int parts = 0;

	for (; parts < n && len > 0; parts++) {
		cut[parts] = iov[parts];
		if (cut[parts].iov_len > len)
			cut[parts].iov_len = len;
		len -= cut[parts].iov_len;
	}
	return parts;
}

struct cursor cursor_at(const struct iovec *iov, int n, size_t skip)
{
	struct cursor c = {iov, iov + n, skip};

	while (c.iov < c.end && c.offset >= c.iov->iov_len)
		c.offset -= c.iov++->iov_len;
	return c;
}

/* The next contiguous part, at most n bytes. */
static size_t cursor_next(struct cursor *c, size_t n, uint8_t **part)
{
	size_t left;

	while (c->iov < c->end && c->offset == c->iov->iov_len) {
		c->offset = 0;
		c->iov++;
	}
	if (c->iov == c->end)
		return 0;
	left = c->iov->iov_len - c->offset;
	n = n < left ? n : left;
	*part = (uint8_t *)c->iov->iov_base + c->offset;
	c->offset += n;
	return n;
}

void copy_out(struct cursor *c, const uint8_t *src, size_t n)
{
	uint8_t *part;
	size_t k;

	while (n > 0 && (k = cursor_next(c, n, &part)) > 0) {
		memcpy(part, src, k);
		src += k;
		n -= k;
	}
}

ssize_t copy_in(uint8_t *dst, size_t room, void *arg)
{
	struct cursor *c = arg;
	size_t done = 0, k;
	uint8_t *part;

	while (done < room && (k = cursor_next(c, room - done, &part)) > 0) {
		memcpy(dst + done, part, k);
		done += k;
	}
	return (ssize_t)done;
}
