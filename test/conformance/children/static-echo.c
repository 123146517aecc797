/* Linked statically, so that no library can be loaded into it: sends back what it reads from the
 * descriptor that its argument names, until the end. It knows nothing but read() and write(). */
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char buf[4096];
	ssize_t n;
	int fd = argc > 1 ? atoi(argv[1]) : 0;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t done = 0; done < n;) {
			ssize_t sent = write(fd, buf + done, n - done);

			if (sent == -1)
				return 1;
			done += sent;
		}
	return n == 0 ? 0 : 1;
}
