/* syscall() for x86-64. The kernel is called from here, on the caller's own frame: a child that
 * SYS_vfork or SYS_clone made in its parent's memory returns through no frame of ours. And what lies
 * where a sixth argument would be is only read: with fewer arguments it is a variable of the caller's,
 * which another thread may be writing. */
#if defined(__x86_64__)
	.text
	.globl	syscall
	.type	syscall, @function
syscall:
	.cfi_startproc
	cmpq	by_number_count(%rip), %rdi
	jae	1f
	leaq	by_number_ours(%rip), %rax
	cmpb	$0, (%rax,%rdi)
	jne	by_number		/* syscall.c, with the arguments as they lie */
	cmpq	$56, %rdi		/* SYS_clone: with CLONE_NEWNET, in memory of its own */
	jne	1f
	testl	$0x40000000, %esi
	jz	1f
	testl	$0x100, %esi
	jnz	1f
	testq	%rdx, %rdx
	jz	clone_apart
1:	movq	%rdi, %rax
	movq	%rsi, %rdi
	movq	%rdx, %rsi
	movq	%rcx, %rdx
	movq	%r8, %r10
	movq	%r9, %r8
	movq	8(%rsp), %r9
	syscall
	cmpq	$-4095, %rax
	jae	2f
	ret
2:	movq	%rax, %rdi
	jmp	by_number_failed
	.cfi_endproc
	.size	syscall, .-syscall
#endif
	.section .note.GNU-stack, "", @progbits
