/* Of a process with root's rights whose real and effective ids differ (squid), the kernel says that
 * what it executes is a set-user-ID program: LD_PRELOAD is left aside there. So for the moment of
 * exec both ids are root's; what they were goes along in the environment for the new program's
 * shim, which takes it from there before anything of the program runs. The saved ids become what
 * exec makes them, the effective ones. The calls are raw: they are for this thread, the one that
 * executes. */
#include "ioth.h"

static const char name[] = "IOTH_IDS";

static void ids_get(struct ids *ids)
{
	ids->ruid = (unsigned int)raw(SYS_getuid);
	ids->euid = (unsigned int)raw(SYS_geteuid);
	ids->rgid = (unsigned int)raw(SYS_getgid);
	ids->egid = (unsigned int)raw(SYS_getegid);
}

static char *digits(char *to, unsigned int n)
{
	char text[10];
	size_t len = 0;

	do
		text[len++] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	while (len > 0)
		*to++ = text[--len];
	*to++ = '.';
	return to;
}

/** Bytes for ids_join(); 0: there is nothing to do. */
size_t ids_room(char *const envp[])
{
	struct ids ids;
	size_t n = 0;

	ids_get(&ids);
	if ((ids.ruid == ids.euid && ids.rgid == ids.egid) || (ids.ruid != 0 && ids.euid != 0))
		return 0;
	while (envp && envp[n])
		n++;
	return (n + 2) * sizeof(char *) + sizeof(name) + 4 * sizeof("4294967295");
}

/** `envp` and what the ids are, in `room`; they are root's then. */
char **ids_join(struct ids *ids, void *room, char *const envp[])
{
	char **out = room;
	size_t n = 0;
	char *text;

	ids_get(ids);
	for (; envp && envp[n]; n++)
		out[n] = envp[n];
	text = (char *)(out + n + 2);
	out[n] = text;
	out[n + 1] = NULL;
	text = stpcpy(stpcpy(text, name), "=");
	text = digits(digits(digits(digits(text, ids->ruid), ids->euid), ids->rgid), ids->egid);
	text[-1] = '\0';
	raw(SYS_setresuid, 0, 0, -1);
	raw(SYS_setresgid, ids->egid, -1, -1);
	return out;
}

/** It failed. */
void ids_split(const struct ids *ids)
{
	raw(SYS_setresgid, ids->rgid, ids->egid, -1);
	raw(SYS_setresuid, ids->ruid, ids->euid, -1);
}

static unsigned int number(const char **text)
{
	unsigned int n = 0;

	for (; **text >= '0' && **text <= '9'; (*text)++)
		n = n * 10 + (unsigned int)(**text - '0');
	*text += **text == '.';
	return n;
}

/** In the new program, which must not go on with rights that it would not have had. */
void ids_take(void)
{
	const char *text = getenv(name);
	struct ids ids;

	if (!text)
		return;
	ids.ruid = number(&text);
	ids.euid = number(&text);
	ids.rgid = number(&text);
	ids.egid = number(&text);
	unsetenv(name);
	if (setresgid(ids.rgid, ids.egid, ids.egid) < 0 ||
	    setresuid(ids.ruid, ids.euid, ids.euid) < 0)
		_exit(126);
}
