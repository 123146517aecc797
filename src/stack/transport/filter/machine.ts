// The machine that classic BPF programs run on: an accumulator, an index register, sixteen cells. A program that was
// checked ends after as many steps as it has instructions at most. Words are kept signed; where it matters they are not.
import { i32, u16 } from '../../../base/bytes.ts'
import * as O from './opcodes.ts'
import { payloadOffset } from './payload.ts'
import { ANCILLARY, type Program } from './program.ts'

/** What is known of a packet beside its bytes (SKF_AD_*); offsets are into `bytes`. One object may serve for all packets. */
export interface Subject {
  bytes: Uint8Array
  /** What the program sees begins here, and has so many bytes. */
  at: number
  length: number
  /** Where the link header begins; -1: there is none. */
  link: number
  network: number
  ethertype: number
  /** PACKET_*. */
  type: number
  device: number
  /** ARPHRD_*. */
  hardware: number
  /** The VLAN tag that was taken out; -1: none. */
  tag: number
  /** Its ethertype. */
  tagType: number
  mark: number
}

/** Nothing is known but the bytes. */
export const newSubject = (): Subject => ({
  bytes: new Uint8Array(0),
  at: 0,
  length: 0,
  link: -1,
  network: 0,
  ethertype: 0,
  type: 0,
  device: 0,
  hardware: 0,
  tag: -1,
  tagType: 0,
  mark: 0,
})

const cells = new Int32Array(O.MEMORY_WORDS)

/** What load() found. */
let loaded = 0

/** How many bytes of the packet are wanted, 0: none of it. `random`: 32 bits. */
export function run(program: Program, s: Subject, random: () => number): number {
  const { code, jt, jf, k } = program
  let a = 0
  let x = 0
  for (let pc = 0; ; pc++) {
    const n = k[pc]
    switch (code[pc]) {
      case O.LD | O.W | O.ABS:
        if (!load(s, n, 4)) return 0
        a = loaded
        break
      case O.LD | O.H | O.ABS:
        if (!load(s, n, 2)) return 0
        a = loaded
        break
      case O.LD | O.B | O.ABS:
        if (!load(s, n, 1)) return 0
        a = loaded
        break
      case O.LD | O.W | O.IND:
        if (!load(s, (x + n) | 0, 4)) return 0
        a = loaded
        break
      case O.LD | O.H | O.IND:
        if (!load(s, (x + n) | 0, 2)) return 0
        a = loaded
        break
      case O.LD | O.B | O.IND:
        if (!load(s, (x + n) | 0, 1)) return 0
        a = loaded
        break
      case O.LDX | O.B | O.MSH:
        if (!load(s, n, 1)) return 0
        x = (loaded & 15) << 2
        break
      case O.LD | O.W | O.LEN:
        a = s.length
        break
      case O.LDX | O.W | O.LEN:
        x = s.length
        break
      case O.LD | O.IMM:
        a = n
        break
      case O.LDX | O.IMM:
        x = n
        break
      case O.LD | O.MEM:
        a = cells[n]
        break
      case O.LDX | O.MEM:
        x = cells[n]
        break
      case O.ST:
        cells[n] = a
        break
      case O.STX:
        cells[n] = x
        break
      case O.ALU | O.ADD | O.K:
        a = (a + n) | 0
        break
      case O.ALU | O.ADD | O.X:
        a = (a + x) | 0
        break
      case O.ALU | O.SUB | O.K:
        a = (a - n) | 0
        break
      case O.ALU | O.SUB | O.X:
        a = (a - x) | 0
        break
      case O.ALU | O.MUL | O.K:
        a = Math.imul(a, n)
        break
      case O.ALU | O.MUL | O.X:
        a = Math.imul(a, x)
        break
      case O.ALU | O.DIV | O.K:
        a = ((a >>> 0) / (n >>> 0)) | 0
        break
      case O.ALU | O.DIV | O.X:
        if (x === 0) return 0
        a = ((a >>> 0) / (x >>> 0)) | 0
        break
      case O.ALU | O.MOD | O.K:
        a = ((a >>> 0) % (n >>> 0)) | 0
        break
      case O.ALU | O.MOD | O.X:
        if (x === 0) return 0
        a = ((a >>> 0) % (x >>> 0)) | 0
        break
      case O.ALU | O.AND | O.K:
        a &= n
        break
      case O.ALU | O.AND | O.X:
        a &= x
        break
      case O.ALU | O.OR | O.K:
        a |= n
        break
      case O.ALU | O.OR | O.X:
        a |= x
        break
      case O.ALU | O.XOR | O.K:
        a ^= n
        break
      case O.ALU | O.XOR | O.X:
      case ANCILLARY + O.AD_ALU_XOR_X:
        a ^= x
        break
      case O.ALU | O.LSH | O.K:
        a <<= n
        break
      case O.ALU | O.LSH | O.X:
        a <<= x
        break
      case O.ALU | O.RSH | O.K:
        a = (a >>> n) | 0
        break
      case O.ALU | O.RSH | O.X:
        a = (a >>> x) | 0
        break
      case O.ALU | O.NEG:
        a = -a | 0
        break
      case O.MISC | O.TAX:
        x = a
        break
      case O.MISC | O.TXA:
        a = x
        break
      case O.JMP | O.JA:
        pc += n
        break
      case O.JMP | O.JEQ | O.K:
        pc += a === n ? jt[pc] : jf[pc]
        break
      case O.JMP | O.JEQ | O.X:
        pc += a === x ? jt[pc] : jf[pc]
        break
      case O.JMP | O.JGT | O.K:
        pc += a >>> 0 > n >>> 0 ? jt[pc] : jf[pc]
        break
      case O.JMP | O.JGT | O.X:
        pc += a >>> 0 > x >>> 0 ? jt[pc] : jf[pc]
        break
      case O.JMP | O.JGE | O.K:
        pc += a >>> 0 >= n >>> 0 ? jt[pc] : jf[pc]
        break
      case O.JMP | O.JGE | O.X:
        pc += a >>> 0 >= x >>> 0 ? jt[pc] : jf[pc]
        break
      case O.JMP | O.JSET | O.K:
        pc += (a & n) !== 0 ? jt[pc] : jf[pc]
        break
      case O.JMP | O.JSET | O.X:
        pc += (a & x) !== 0 ? jt[pc] : jf[pc]
        break
      case O.RET | O.K:
        return n >>> 0
      case O.RET | O.A:
        return a >>> 0
      default:
        // Linux ends the program where no interface is known.
        if (isOfDevice(code[pc]) && s.device === 0) return 0
        a = ancillary(code[pc] - ANCILLARY, s, a, x, random)
    }
  }
}

const isOfDevice = (code: number) =>
  code === ANCILLARY + O.AD_IFINDEX || code === ANCILLARY + O.AD_HATYPE

/** False: it lies outside. */
function load(s: Subject, k: number, size: number): boolean {
  const { bytes } = s
  let at = s.at + k
  if (k < 0) {
    if (k >= O.SKF_NET_OFF) at = s.network + k - O.SKF_NET_OFF
    else if (k >= O.SKF_LL_OFF && s.link >= 0) at = s.link + k - O.SKF_LL_OFF
    else return false
  }
  if (at + size > s.at + s.length) return false
  loaded = size === 4 ? i32(bytes, at) : size === 2 ? u16(bytes, at) : bytes[at]
  return true
}

function ancillary(what: number, s: Subject, a: number, x: number, random: () => number): number {
  switch (what) {
    case O.AD_PROTOCOL:
      return s.ethertype
    case O.AD_PKTTYPE:
      return s.type
    case O.AD_IFINDEX:
      return s.device
    case O.AD_HATYPE:
      return s.hardware
    case O.AD_MARK:
      return s.mark
    case O.AD_VLAN_TAG:
      return Math.max(0, s.tag)
    case O.AD_VLAN_TAG_PRESENT:
      return s.tag < 0 ? 0 : 1
    case O.AD_VLAN_TPID:
      return s.tagType
    case O.AD_PAY_OFFSET:
      return payloadOffset(s)
    case O.AD_RANDOM:
      return random() | 0
    case O.AD_NLATTR:
      return attribute(s, a, x)
    case O.AD_NLATTR_NEST:
      return nested(s, a, x)
    default:
      // One queue, one processor, no hash: AD_QUEUE, AD_CPU, AD_RXHASH.
      return 0
  }
}

const ATTRIBUTE_HEADER = 4

/** SKF_AD_NLATTR: where the netlink attribute of type `x` is, at `a` or behind; 0: nowhere. */
function attribute(s: Subject, a: number, x: number): number {
  if (s.length < ATTRIBUTE_HEADER || a >>> 0 > s.length - ATTRIBUTE_HEADER) return 0
  return find(s, a, s.length, x)
}

/** SKF_AD_NLATTR_NEST: the same within the attribute at `a`. */
function nested(s: Subject, a: number, x: number): number {
  if (s.length < ATTRIBUTE_HEADER || a >>> 0 > s.length - ATTRIBUTE_HEADER) return 0
  const length = lengthAt(s, a)
  return length > s.length - a ? 0 : find(s, a + ATTRIBUTE_HEADER, a + length, x)
}

/** Attributes are in the host's order, which is little-endian wherever this runs. */
function find(s: Subject, from: number, end: number, type: number): number {
  const { bytes, at } = s
  for (let i = from; end - i >= ATTRIBUTE_HEADER;) {
    const length = lengthAt(s, i)
    if (length < ATTRIBUTE_HEADER || length > end - i) return 0
    const is = (bytes[at + i + 2] | (bytes[at + i + 3] << 8)) & 0x3fff
    if (is === type) return i
    i += (length + 3) & ~3
  }
  return 0
}

const lengthAt = ({ bytes, at }: Subject, i: number) => bytes[at + i] | (bytes[at + i + 1] << 8)
