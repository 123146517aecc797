// tcb.ecn: what a connection has agreed and owes (ecn.ts).

/** Our first SYN asked. */
export const E_ASKED = 1
/** We may send ECT, and heed ECE. */
export const E_SENDS = 2
/** The peer may send ECT, and is told of CE. */
export const E_ECHOES = 4
/** The peer did send ECT. */
export const E_SEEN = 8
/** Say ECE. */
export const E_ECE_DUE = 16
/** Say CWR with the next new text. */
export const E_CWR_DUE = 32
/** cwnd was reduced for an ECE; those of text sent before say nothing new. */
export const E_REDUCED = 64
