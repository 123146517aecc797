/* System calls without libc: errno stays as it is, nothing is a cancellation point, and it works
 * before libc's functions are resolved. The answer is >= 0 or a negative errno. */
#ifndef IOTH_RAW_H
#define IOTH_RAW_H

#include <stdint.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
static inline long raw_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
static inline long raw_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#else
#error "no system call convention known for this architecture"
#endif

/* In the sixth argument of a call that has fewer: what tells the seccomp filter (filter.h) that the
 * call comes from us and is to pass. It opens nothing: socket() is not asked for it. */
#define RAW_MARK 0x68746f69L

/* raw(SYS_x, up to six integers or pointers): each is cast; what is left out is 0, a sixth the
 * mark. */
#define raw(...)                                                                                   \
	RAW_NAME(__VA_ARGS__, raw_six, raw_less, raw_less, raw_less, raw_less, raw_less, raw_less, \
		 0)                                                                                \
	(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define RAW_NAME(nr, a, b, c, d, e, f, name, ...) name
#define raw_six(nr, a, b, c, d, e, f, ...)                                                         \
	raw_syscall((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define raw_less(nr, a, b, c, d, e, ...)                                                           \
	raw_syscall((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), RAW_MARK)

/* Says to the CPU that we spin. */
static inline void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	__asm__ volatile("yield");
#endif
}

#endif
