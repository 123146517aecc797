/* vfork() for x86-64. The child runs in its parent's memory, on its parent's stack: no C function can
 * stand between the caller and the system call, and our code must know that it runs in such a child.
 * `vforks` (vfork.c) is a counter in the thread's storage: the child counts it up, and the parent,
 * which sleeps until the child has called exec or _exit, counts it down again. */
#if defined(__x86_64__)
	.text
	.globl	vfork
	.type	vfork, @function
	.globl	__vfork
	.type	__vfork, @function
vfork:
__vfork:
	.cfi_startproc
	popq	%rdi			/* the child will write over our return address: keep it */
	.cfi_adjust_cfa_offset -8
	.cfi_register %rip, %rdi
	movq	vforks@gottpoff(%rip), %rdx
	incl	%fs:(%rdx)
	movl	$58, %eax		/* SYS_vfork */
	syscall
	pushq	%rdi
	.cfi_adjust_cfa_offset 8
	.cfi_offset %rip, -8
	testl	%eax, %eax
	je	1f			/* the child */
	decl	%fs:(%rdx)
	testl	%eax, %eax
	js	2f
1:	ret
2:	movl	%eax, %edi
	jmp	vfork_failed
	.cfi_endproc
	.size	vfork, .-vfork
	.size	__vfork, .-__vfork
#endif
	.section .note.GNU-stack, "", @progbits
