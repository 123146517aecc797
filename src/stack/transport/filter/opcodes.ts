// Classic BPF's instructions (linux/filter.h, linux/bpf_common.h): a code, two jump offsets, a number.

// Classes.
export const LD = 0x00
export const LDX = 0x01
export const ST = 0x02
export const STX = 0x03
export const ALU = 0x04
export const JMP = 0x05
export const RET = 0x06
export const MISC = 0x07

// What is loaded: sizes and modes.
export const W = 0x00
export const H = 0x08
export const B = 0x10
export const IMM = 0x00
export const ABS = 0x20
export const IND = 0x40
export const MEM = 0x60
export const LEN = 0x80
export const MSH = 0xa0

// Arithmetic and jumps.
export const ADD = 0x00
export const SUB = 0x10
export const MUL = 0x20
export const DIV = 0x30
export const OR = 0x40
export const AND = 0x50
export const LSH = 0x60
export const RSH = 0x70
export const NEG = 0x80
export const MOD = 0x90
export const XOR = 0xa0
export const JA = 0x00
export const JEQ = 0x10
export const JGT = 0x20
export const JGE = 0x30
export const JSET = 0x40

// Operands, what is returned, and what else there is.
export const K = 0x00
export const X = 0x08
export const A = 0x10
export const TAX = 0x00
export const TXA = 0x80

export const MEMORY_WORDS = 16

/** struct sock_filter: code (2 bytes), jt, jf, k (4 bytes). */
export const INSTRUCTION_LEN = 8
/** BPF_MAXINSNS. */
export const MOST_INSTRUCTIONS = 4096

// Where loads from the packet go that lie far below zero: to what is known of it, its network header, its link header.
export const SKF_AD_OFF = -0x1000
export const SKF_NET_OFF = -0x100000
export const SKF_LL_OFF = -0x200000

/** SKF_AD_*: behind SKF_AD_OFF. */
export const AD_PROTOCOL = 0
export const AD_PKTTYPE = 4
export const AD_IFINDEX = 8
export const AD_NLATTR = 12
export const AD_NLATTR_NEST = 16
export const AD_MARK = 20
export const AD_QUEUE = 24
export const AD_HATYPE = 28
export const AD_RXHASH = 32
export const AD_CPU = 36
export const AD_ALU_XOR_X = 40
export const AD_VLAN_TAG = 44
export const AD_VLAN_TAG_PRESENT = 48
export const AD_PAY_OFFSET = 52
export const AD_RANDOM = 56
export const AD_VLAN_TPID = 60
export const AD_MAX = 64
