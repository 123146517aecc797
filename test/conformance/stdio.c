/* stdio on sockets: FILEs do not go through the calls that a library can replace. */
#include "net.h"

static FILE *open_stream(int fd, const char *mode)
{
	FILE *f = fdopen(fd, mode);

	check(f);
	return f;
}

CASE("fdopen() for reading: fgets() line by line, then the end")
{
	struct pair p = tcp_pair();
	FILE *f = open_stream(p.server, "r");
	char line[32];

	send_text(p.client, "one\ntwo\nthree");
	must(shutdown(p.client, SHUT_WR));
	check(fgets(line, sizeof(line), f) && !strcmp(line, "one\n"));
	check(fgets(line, sizeof(line), f) && !strcmp(line, "two\n"));
	check(fgets(line, sizeof(line), f) && !strcmp(line, "three"));
	check(!fgets(line, sizeof(line), f) && feof(f) && !ferror(f));
	equal(fclose(f), 0);
	must(close(p.client));
}

CASE("fdopen() for writing: fprintf() and fflush()")
{
	struct pair p = tcp_pair();
	FILE *f = open_stream(p.server, "w");

	check(fprintf(f, "%s %d\n", "number", 42) > 0);
	equal(fflush(f), 0);
	expect_text(p.client, "number 42\n");
	check(fputs("and at the close", f) >= 0);
	equal(fclose(f), 0);
	expect_text(p.client, "and at the close");
	expect_eof(p.client);
	must(close(p.client));
}

CASE("two FILEs on two copies, one for each direction: a dialogue")
{
	struct pair p = tcp_pair();
	FILE *in = open_stream(p.server, "r"), *out = open_stream(must(dup(p.server)), "w");
	char line[32];

	for (int i = 0; i < 50; i++) {
		send_text(p.client, "question\n");
		check(fgets(line, sizeof(line), in) && !strcmp(line, "question\n"));
		check(fputs("answer\n", out) >= 0);
		equal(fflush(out), 0);
		expect_text(p.client, "answer\n");
	}
	equal(fclose(in), 0);
	send_text(p.client, "x");
	check(fputs("one more", out) >= 0);
	equal(fflush(out), 0);
	expect_text(p.client, "one more");
	must(close(p.client));
	equal(fclose(out), 0);
}

CASE("text that came before fdopen() is read by it, what recv() took is not")
{
	struct pair p = tcp_pair();
	char line[32];
	FILE *f;

	send_text(p.client, "GET /\nHost: a\n");
	wait_for(p.server, POLLIN);
	expect_text(p.server, "GET /\n");
	f = open_stream(p.server, "r");
	check(fgets(line, sizeof(line), f) && !strcmp(line, "Host: a\n"));
	equal(fclose(f), 0);
	must(close(p.client));
}

CASE("fread() and fwrite() of 4 MB")
{
	struct pair p = tcp_pair();
	size_t total = 4 << 20;
	char *buf = malloc(total);
	pid_t pid = child();
	FILE *f;

	check(buf);
	if (pid == 0) {
		must(close(p.server));
		f = open_stream(p.client, "w");
		pattern_fill(buf, total, 0);
		equal(fwrite(buf, 1, total, f), total);
		equal(fclose(f), 0);
		_exit(0);
	}
	must(close(p.client));
	f = open_stream(p.server, "r");
	equal(fread(buf, 1, total, f), total);
	pattern_check(buf, total, 0);
	equal(fread(buf, 1, 1, f), 0);
	check(feof(f));
	equal(fclose(f), 0);
	reap(pid);
	free(buf);
}

CASE("recv() and send() on the number of a FILE")
{
	struct pair p = tcp_pair();
	FILE *f = open_stream(p.server, "r+");

	equal(fileno(f), p.server);
	setvbuf(f, NULL, _IONBF, 0);
	check(fputs("by FILE", f) >= 0);
	send_text(fileno(f), ", by number");
	expect_text(p.client, "by FILE, by number");
	send_text(p.client, "ab");
	equal(fgetc(f), 'a');
	expect_text(fileno(f), "b");
	equal(fclose(f), 0);
	expect_eof(p.client);
	must(close(p.client));
}

CASE("dprintf()")
{
	struct pair p = tcp_pair();

	send_text(p.server, "first ");
	equal(dprintf(p.server, "%05d|%s", 7, "formatted"), 15);
	send_text(p.server, " last");
	expect_text(p.client, "first 00007|formatted last");
	close_pair(p);
}

CASE("getline() and getdelim()")
{
	struct pair p = tcp_pair();
	FILE *f = open_stream(p.server, "r");
	char *line = NULL;
	size_t room = 0;

	send_text(p.client, "a line\nup to;");
	equal(getline(&line, &room, f), 7);
	equal(getdelim(&line, &room, ';', f), 6);
	equal(strcmp(line, "up to;"), 0);
	free(line);
	equal(fclose(f), 0);
	must(close(p.client));
}

CASE("a non-blocking FILE: EAGAIN, and it goes on after clearerr()")
{
	struct pair p = tcp_pair();
	FILE *f = open_stream(p.server, "r");

	set_nonblock(p.server, true);
	errno = 0;
	equal(fgetc(f), EOF);
	check(ferror(f) && errno == EAGAIN);
	clearerr(f);
	send_text(p.client, "z");
	wait_for(p.server, POLLIN);
	equal(fgetc(f), 'z');
	equal(fclose(f), 0);
	must(close(p.client));
}

CASE("stdin and stdout of a child that uses printf() and scanf()")
{
	struct pair p = tcp_pair();
	pid_t pid = child();
	int a, b;

	if (pid == 0) {
		must(close(p.client));
		must(dup2(p.server, 0));
		must(dup2(p.server, 1));
		must(close(p.server));
		equal(scanf("%d %d", &a, &b), 2);
		printf("sum %d\n", a + b);
		fflush(stdout);
		_exit(0);
	}
	must(close(p.server));
	send_text(p.client, "20 22\n");
	expect_text(p.client, "sum 42\n");
	expect_eof(p.client);
	reap(pid);
	must(close(p.client));
}

CASE("readiness of a socket that has a FILE")
{
	struct pair p = tcp_pair();
	FILE *f = open_stream(p.server, "r");

	equal(mask_now(p.server), POLLOUT);
	send_text(p.client, "x");
	wait_for(p.server, POLLIN);
	equal(fgetc(f), 'x');
	equal(mask_now(p.server), POLLOUT);
	must(shutdown(p.client, SHUT_WR));
	wait_mask(p.server, POLLIN | POLLOUT | POLLRDHUP);
	equal(fclose(f), 0);
	must(close(p.client));
}
