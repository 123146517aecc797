/* aio(7): threads of glibc's read and write for the program, with calls that we do not see. */
#include "ioth.h"

#include <aio.h>

/* What is wrong with `block` libc finds. */
static void hand_over(const struct aiocb *block)
{
	int saved = errno;
	struct sock s;

	if (!bad_pointer(block) && fdtab_find(block->aio_fildes, &s))
		sock_go_native(block->aio_fildes, &s);
	errno = saved;
}

EXPORT int aio_read(struct aiocb *block)
{
	hand_over(block);
	return libc.aio_read(block);
}

EXPORT int aio_write(struct aiocb *block)
{
	hand_over(block);
	return libc.aio_write(block);
}

EXPORT int lio_listio(int mode, struct aiocb *const list[restrict], int n,
		      struct sigevent *restrict event)
{
	for (int i = 0; i < n && !unreadable(&list[i], sizeof(list[i])); i++)
		hand_over(list[i]);
	return libc.lio_listio(mode, list, n, event);
}

/* The structures differ in name only where off_t has 64 bits. */
EXPORT int aio_read64(struct aiocb64 *block)
{
	hand_over((const struct aiocb *)block);
	return libc.aio_read64(block);
}

EXPORT int aio_write64(struct aiocb64 *block)
{
	hand_over((const struct aiocb *)block);
	return libc.aio_write64(block);
}

EXPORT int lio_listio64(int mode, struct aiocb64 *const list[restrict], int n,
			struct sigevent *restrict event)
{
	for (int i = 0; i < n && !unreadable(&list[i], sizeof(list[i])); i++)
		hand_over((const struct aiocb *)list[i]);
	return libc.lio_listio64(mode, list, n, event);
}
