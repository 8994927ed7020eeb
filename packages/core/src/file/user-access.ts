/** Loads and stores of a program at its own addresses: what a CPU does, with the signal when it cannot. */
import type { Uva } from '../address.ts'
import type { AccessSize } from '../memory/backing.ts'
import type { AddressSpace } from '../process/address-space.ts'

/** SIGSEGV: nothing is mapped there, or not for this access. SIGBUS: it is mapped, and nothing answers. */
export type Signal = 'SIGSEGV' | 'SIGBUS'

/**
 * One access. Registers see it as one access of that width when it is aligned.
 * @param value to store; undefined: load
 * @returns the value loaded or stored, or a signal
 */
export function access(space: AddressSpace, uva: Uva, width: AccessSize, value: bigint | undefined): bigint | Signal {
  const bytes = new Uint8Array(width)
  if (value !== undefined) for (let i = 0; i < width; i++) bytes[i] = Number((value >> BigInt(i * 8)) & 0xffn)
  const done = value === undefined ? space.copyIn(uva, bytes) : space.copyOut(uva, bytes)
  if (done < width) return signalAt(space, uva + BigInt(done), value !== undefined)
  let result = 0n
  for (let i = width - 1; i >= 0; i--) result = (result << 8n) | BigInt(bytes[i] as number)
  return result
}

function signalAt(space: AddressSpace, uva: Uva, write: boolean): Signal {
  const vma = space.at(uva)?.vma
  // x86 page tables cannot say "write only": what is mapped for writing can be read.
  return vma && (vma.write || (!write && vma.read)) ? 'SIGBUS' : 'SIGSEGV'
}
