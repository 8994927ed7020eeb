/**
 * What a vCPU can execute: enough for a guest that touches its memory and flushes its cache, in real mode or flat, without
 * paging. Anything else leaves the guest, as an instruction that KVM cannot emulate does.
 * Intel SDM volume 2, "Instruction Set Reference".
 */

/** A vCPU as an instruction sees it. */
export interface Guest {
  /** Bytes at the instruction pointer; undefined where no memory is. */
  fetch(bytes: number): Uint8Array | undefined
  /** Moves the instruction pointer on. */
  advance(bytes: number): void
  /** The byte at an offset of the data segment; undefined where no memory is. */
  loadByte(offset: number): number | undefined
  /** @returns false where no memory is */
  storeByte(offset: number, value: number): boolean
  al: number
  wbinvd(): void
}

/** How an instruction ended. */
export type Executed = 'next' | 'halted' | 'unknown'

/** Where no memory is. */
const NO_OPCODE = -1

/** Executes one instruction. */
export function execute(guest: Guest): Executed {
  const opcode = guest.fetch(1)?.[0] ?? NO_OPCODE
  switch (opcode) {
    case 0x90: // NOP
      return done(guest, 1)
    case 0xf4: // HLT
      guest.advance(1)
      return 'halted'
    case 0x0f: // two bytes
      if (guest.fetch(2)?.[1] !== 0x09) return 'unknown'
      guest.wbinvd()
      return done(guest, 2)
    case 0xb0: // MOV AL, imm8
      return withOperand(guest, 1, (value) => {
        guest.al = value
        return true
      })
    case 0xa0: // MOV AL, moffs8
      return withOperand(guest, 2, (offset) => {
        const value = guest.loadByte(offset)
        if (value !== undefined) guest.al = value
        return value !== undefined
      })
    case 0xa2: // MOV moffs8, AL
      return withOperand(guest, 2, (offset) => guest.storeByte(offset, guest.al))
    default:
      return 'unknown'
  }
}

function done(guest: Guest, bytes: number): Executed {
  guest.advance(bytes)
  return 'next'
}

/** An opcode of one byte with an immediate or an offset behind it. */
function withOperand(guest: Guest, bytes: number, run: (operand: number) => boolean): Executed {
  const code = guest.fetch(1 + bytes)
  if (!code) return 'unknown'
  const operand = code.subarray(1).reduce((value, byte, i) => value + byte * 2 ** (8 * i), 0)
  return run(operand) ? done(guest, 1 + bytes) : 'unknown'
}
