/* aio(7) on sockets. */
#include "net.h"

#include <aio.h>

static ssize_t end_of(struct aiocb *block)
{
	const struct aiocb *list[] = {block};

	while (aio_error(block) == EINPROGRESS)
		must(aio_suspend(list, 1, NULL));
	equal(aio_error(block), 0);
	return aio_return(block);
}

CASE("aio_write() and aio_read()")
{
	struct pair p = tcp_pair();
	char text[16] = "";
	struct aiocb out = {.aio_fildes = p.client, .aio_buf = "there", .aio_nbytes = 5};
	struct aiocb in = {.aio_fildes = p.server, .aio_buf = text, .aio_nbytes = sizeof(text)};

	must(aio_read(&in));
	must(aio_write(&out));
	equal(end_of(&out), 5);
	equal(end_of(&in), 5);
	check(memcmp(text, "there", 5) == 0);
	send_text(p.server, "back");
	expect_text(p.client, "back");
	close_pair(p);
}

CASE("lio_listio() of both ends")
{
	struct pair p = tcp_pair();
	char text[16] = "";
	struct aiocb out = {.aio_fildes = p.client,
			    .aio_buf = "there",
			    .aio_nbytes = 5,
			    .aio_lio_opcode = LIO_WRITE};
	struct aiocb in = {.aio_fildes = p.server,
			   .aio_buf = text,
			   .aio_nbytes = sizeof(text),
			   .aio_lio_opcode = LIO_READ};
	struct aiocb *list[] = {&out, &in};

	must(lio_listio(LIO_WAIT, list, 2, NULL));
	equal(aio_return(&out), 5);
	equal(aio_return(&in), 5);
	check(memcmp(text, "there", 5) == 0);
	close_pair(p);
}
