/* A seccomp filter is a small program over the number and the arguments of a system call. Here it
 * is run without the kernel, to know beforehand what it will say to a call of ours. It has been
 * through no check yet: whatever it is, this ends, since it jumps forwards only, and reads nothing
 * else. */
#include "ioth.h"

#include <linux/filter.h>
#include <linux/seccomp.h>

static uint32_t word(const struct seccomp_data *call, uint32_t at)
{
	uint32_t value = 0;

	if (at <= sizeof(*call) - sizeof(value))
		memcpy(&value, (const char *)call + at, sizeof(value));
	return value;
}

static uint32_t arithmetic(uint32_t op, uint32_t a, uint32_t b)
{
	switch (op) {
	case BPF_ADD:
		return a + b;
	case BPF_SUB:
		return a - b;
	case BPF_MUL:
		return a * b;
	case BPF_DIV:
		return b ? a / b : 0;
	case BPF_AND:
		return a & b;
	case BPF_OR:
		return a | b;
	case BPF_XOR:
		return a ^ b;
	case BPF_LSH:
		return b < 32 ? a << b : 0;
	case BPF_RSH:
		return b < 32 ? a >> b : 0;
	default:
		return -a; /* BPF_NEG */
	}
}

static bool holds(uint32_t op, uint32_t a, uint32_t b)
{
	switch (op) {
	case BPF_JEQ:
		return a == b;
	case BPF_JGT:
		return a > b;
	case BPF_JGE:
		return a >= b;
	default:
		return a & b; /* BPF_JSET */
	}
}

/** What the filter returns; SECCOMP_RET_KILL_PROCESS for one that has no end. */
uint32_t filter_verdict(const struct sock_fprog *filter, const struct seccomp_data *call)
{
	uint32_t memory[BPF_MEMWORDS] = {0};
	uint32_t a = 0, x = 0;

	for (size_t pc = 0; pc < filter->len; pc++) {
		const struct sock_filter *f = &filter->filter[pc];
		uint32_t k = f->k;
		uint32_t b = BPF_SRC(f->code) == BPF_X ? x : k;
		uint32_t *load = BPF_CLASS(f->code) == BPF_LDX ? &x : &a;

		switch (BPF_CLASS(f->code)) {
		case BPF_LD:
		case BPF_LDX:
			if (BPF_MODE(f->code) == BPF_ABS)
				*load = word(call, k);
			else if (BPF_MODE(f->code) == BPF_MEM)
				*load = memory[k % BPF_MEMWORDS];
			else
				*load = BPF_MODE(f->code) == BPF_LEN ? sizeof(*call) : k;
			break;
		case BPF_ST:
			memory[k % BPF_MEMWORDS] = a;
			break;
		case BPF_STX:
			memory[k % BPF_MEMWORDS] = x;
			break;
		case BPF_ALU:
			a = arithmetic(BPF_OP(f->code), a, b);
			break;
		case BPF_JMP:
			if (BPF_OP(f->code) == BPF_JA)
				pc += k;
			else
				pc += holds(BPF_OP(f->code), a, b) ? f->jt : f->jf;
			break;
		case BPF_RET:
			return BPF_RVAL(f->code) == BPF_A ? a : k;
		default: /* BPF_MISC */
			*(BPF_MISCOP(f->code) == BPF_TAX ? &x : &a) =
			    BPF_MISCOP(f->code) == BPF_TAX ? a : x;
		}
	}
	return SECCOMP_RET_KILL_PROCESS;
}
