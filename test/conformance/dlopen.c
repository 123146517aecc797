/* libc's functions, asked for by name: they are the same as those that are called by name. */
#include "net.h"

#include <dlfcn.h>

static void *of_libc(const char *name)
{
	void *libc = dlopen("libc.so.6", RTLD_LAZY);
	void *found;

	check(libc != NULL);
	found = dlsym(libc, name);
	check(found != NULL);
	return found;
}

CASE("read(), write(), send(), recv() of a handle for libc")
{
	ssize_t (*rd)(int, void *, size_t) = of_libc("read");
	ssize_t (*wr)(int, const void *, size_t) = of_libc("write");
	ssize_t (*snd)(int, const void *, size_t, int) = of_libc("send");
	ssize_t (*rcv)(int, void *, size_t, int) = of_libc("recv");
	struct pair p = tcp_pair();
	char text[16];

	send_text(p.client, "hello");
	wait_for(p.server, POLLIN);
	equal(rd(p.server, text, sizeof(text)), 5);
	equal(wr(p.server, "world", 5), 5);
	expect_text(p.client, "world");
	equal(snd(p.client, "again", 5, 0), 5);
	equal(rcv(p.server, text, 5, MSG_WAITALL), 5);
	check(memcmp(text, "again", 5) == 0);
	close_pair(p);
}

CASE("close(), dup2() and pipe() of a handle: numbers mean what they mean")
{
	int (*cls)(int) = of_libc("close");
	int (*mkpipe)(int[2]) = of_libc("pipe");
	struct pair p = tcp_pair();
	char text[16];
	int fds[2];

	must(cls(p.client));
	must(cls(p.server));
	must(mkpipe(fds));
	equal(write(fds[1], "there", 5), 5);
	equal(read(fds[0], text, sizeof(text)), 5);
	must(close(fds[0]));
	must(close(fds[1]));
}

CASE("datagrams by a handle")
{
	ssize_t (*rd)(int, void *, size_t) = of_libc("read");
	struct sockaddr_in name = here(0);
	int fd = must(socket(AF_INET, SOCK_DGRAM, 0));
	char text[16];

	must(bind_to(fd, &name));
	name = local_name(fd);
	must(sendto(fd, "abc", 3, 0, SA(&name), sizeof(name)));
	equal(rd(fd, text, sizeof(text)), 3);
	must(close(fd));
}

CASE("RTLD_DEFAULT, RTLD_NEXT, and what there is not")
{
	void *libc = dlopen("libc.so.6", RTLD_LAZY);

	check(dlsym(RTLD_DEFAULT, "send") != NULL);
	check(dlsym(RTLD_NEXT, "send") != NULL);
	check(dlsym(libc, "strlen") != NULL);
	dlerror();
	check(dlsym(libc, "there_is_no_such_function") == NULL);
	check(strstr(dlerror(), "there_is_no_such_function") != NULL);
	check(dlsym(RTLD_NEXT, "there_is_no_such_function") == NULL);
	check(dlerror() != NULL);
}
