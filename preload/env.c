/* The environment that keeps descendants in this stack: LD_PRELOAD with the shim in it, and IOTH_*.
 * A program may clean its environment before it starts another (sshd, sudo, env -i): what is
 * missing is added on the way. It is copied when we start, because programs write over the strings
 * there (setproctitle), and built on the caller's stack, because exec must work in signal handlers
 * and in vfork children. */
#include "ioth.h"

#include <limits.h>

static const char *const names[] = {ENV_STACK, ENV_DIR, ENV_TOKEN, ENV_SHIM, ENV_MODE};
#define NAMES	  ((int)(sizeof(names) / sizeof(names[0])))
#define STACK	  0
#define SHIM	  3
#define ALL_NAMES ((1u << NAMES) - 1)

#define PRELOAD "LD_PRELOAD"

/* "NAME=value" for each name, or NULL: it was not there. */
static const char *kept[NAMES];
static char strings[PATH_MAX + 512];

/* The value of `name` if `entry` sets it. */
static const char *value_of(const char *entry, const char *name)
{
	size_t n = strlen(name);

	return strncmp(entry, name, n) == 0 && entry[n] == '=' ? entry + n + 1 : NULL;
}

/* Before main, and after the constructors of the libraries below us. */
__attribute__((constructor)) static void env_save(void)
{
	size_t at = 0;

	for (int i = 0; i < NAMES; i++) {
		const char *value = getenv(names[i]);
		size_t room = sizeof(strings) - at;
		int n;

		if (!value)
			continue;
		n = snprintf(strings + at, room, "%s=%s", names[i], value);
		if ((size_t)n >= room) {
			/* No path is that long: a forged environment, which nobody inherits. */
			kept[STACK] = NULL;
			return;
		}
		kept[i] = strings + at;
		at += (size_t)n + 1;
	}
}

/* Is `path` an element of the list, which ld.so splits at colons and spaces? */
static bool lists(const char *list, const char *path)
{
	size_t n = strlen(path);

	for (const char *at = list; *at; at += strspn(at, ": ")) {
		size_t len = strcspn(at, ": ");

		if (len == n && memcmp(at, path, n) == 0)
			return true;
		at += len;
	}
	return false;
}

/* What an environment lacks. */
struct gap {
	size_t entries;	     /* it has */
	const char *preload; /* its LD_PRELOAD ("" if none), when the shim must be put before it */
	const char *shim;
	unsigned int missing; /* bits: names to add */
};

static bool find_gap(char *const envp[], struct gap *gap)
{
	const char *preload = "";

	*gap = (struct gap){.missing = ALL_NAMES};
	if (!kept[STACK] || !kept[SHIM])
		return false;
	gap->shim = value_of(kept[SHIM], ENV_SHIM);
	for (; envp && envp[gap->entries]; gap->entries++) {
		const char *entry = envp[gap->entries];
		const char *value = value_of(entry, PRELOAD);

		if (value)
			preload = value; /* of two, ld.so takes the last */
		for (int i = 0; i < NAMES; i++) {
			value = value_of(entry, names[i]);
			if (!value)
				continue;
			if (i == STACK && strcmp(entry, kept[STACK]) != 0)
				return false; /* on its way into another stack */
			if (i == SHIM)
				gap->shim = value;
			gap->missing &= ~(1u << i);
		}
	}
	for (int i = 0; i < NAMES; i++)
		if (!kept[i])
			gap->missing &= ~(1u << i);
	if (!lists(preload, gap->shim))
		gap->preload = preload;
	return gap->missing || gap->preload;
}

/** Does a program with this environment stay in our stack? */
bool env_stays(char *const envp[])
{
	for (; envp && *envp; envp++)
		if (value_of(*envp, ENV_STACK))
			return kept[STACK] && strcmp(*envp, kept[STACK]) == 0;
	return kept[STACK] && kept[SHIM];
}

/** The shim's own path; empty: we were not started by ioth-run. */
const char *env_shim(void)
{
	return kept[SHIM] ? value_of(kept[SHIM], ENV_SHIM) : "";
}

/** Bytes for env_fill() to put back what `envp` lacks; 0: nothing is missing. */
size_t env_room(char *const envp[])
{
	struct gap gap;

	if (!find_gap(envp, &gap))
		return 0;
	return (gap.entries + NAMES + 2) * sizeof(char *) +
	       (gap.preload ? sizeof(PRELOAD "=") + strlen(gap.shim) + 1 + strlen(gap.preload) : 0);
}

/** `envp` and what it lacks, in `room`. */
char **env_fill(void *room, char *const envp[])
{
	struct gap gap;
	char **out = room;
	char *text;

	find_gap(envp, &gap);
	text = (char *)(out + gap.entries + NAMES + 2);
	for (size_t i = 0; i < gap.entries; i++)
		if (!gap.preload || !value_of(envp[i], PRELOAD))
			*out++ = envp[i];
	for (int i = 0; i < NAMES; i++)
		if (gap.missing & (1u << i))
			*out++ = (char *)kept[i];
	if (gap.preload) {
		*out++ = text;
		text = stpcpy(stpcpy(text, PRELOAD "="), gap.shim);
		if (*gap.preload)
			stpcpy(stpcpy(text, ":"), gap.preload);
	}
	*out = NULL;
	return room;
}

/* The entry that holds the shim; NULL: none does. */
static const char *preloads(char *const envp[])
{
	const char *shim = env_shim();

	if (!envp || !*shim)
		return NULL;
	for (; *envp; envp++) {
		const char *value = value_of(*envp, PRELOAD);

		if (value && lists(value, shim))
			break;
	}
	return *envp;
}

/** Bytes for env_fill_without(); 0: nothing is there to be left out. */
size_t env_room_without(char *const envp[])
{
	const char *entry = preloads(envp);
	size_t n = 1;

	if (!entry)
		return 0;
	for (char *const *e = envp; *e; e++)
		n++;
	return n * sizeof(char *) + strlen(entry) + 1;
}

/* LD_PRELOAD with everything else that it lists; false: there is nothing else. */
static bool list_others(char *out, const char *entry)
{
	const char *shim = env_shim();
	char *start = stpcpy(out, PRELOAD "="), *end = start;

	for (const char *at = value_of(entry, PRELOAD); *at; at += strspn(at, ": ")) {
		size_t len = strcspn(at, ": ");

		if (len > 0 && (len != strlen(shim) || memcmp(at, shim, len) != 0)) {
			if (end > start)
				*end++ = ':';
			memcpy(end, at, len);
			end += len;
		}
		at += len;
	}
	*end = '\0';
	return end > start;
}

/** `envp` with the shim left out of LD_PRELOAD, in `room`. */
char **env_fill_without(void *room, char *const envp[])
{
	const char *entry = preloads(envp);
	char **out = room;
	size_t n = 1;
	char *text;

	for (char *const *e = envp; *e; e++)
		n++;
	text = (char *)(out + n);
	for (; *envp; envp++)
		if (*envp != entry)
			*out++ = *envp;
		else if (list_others(text, entry))
			*out++ = text;
	*out = NULL;
	return room;
}

/** Puts what is missing back into the process's own environment: for system(), popen() and
 * wordexp(), which start a shell inside glibc, with environ. Not for signal handlers, as those
 * three are not. */
void env_restore(void)
{
	struct gap gap;
	int saved = errno;

	if (!find_gap(environ, &gap))
		return;
	for (int i = 0; i < NAMES; i++)
		if (gap.missing & (1u << i))
			setenv(names[i], value_of(kept[i], names[i]), 1);
	if (gap.preload) {
		char list[strlen(gap.shim) + strlen(gap.preload) + 2];

		stpcpy(stpcpy(stpcpy(list, gap.shim), *gap.preload ? ":" : ""), gap.preload);
		setenv(PRELOAD, list, 1);
	}
	errno = saved;
}
