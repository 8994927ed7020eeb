/**
 * Fault reasons of this vendor: the event's code in bits 3:0 and its flags (`EVENT.Flags`) in bits 15:4, so that one small
 * number says what stands in the log.
 */
import { EVENT_CODE, EVENT_FLAG, EVENT_NAMES } from '../spec/event.ts'

/** Makes a reason. */
export const reason = (code: number, flags = 0): number => code | (flags << 4)
/** Code and flags of a reason. */
export const codeOf = (status: number): number => status & 0xf
export const flagsOf = (status: number): number => (status >>> 4) & 0xfff

/** Flags of QEMU's page faults. */
export const QEMU_WANTED = { READ: 1, WRITE: 2 } as const

const WORDS: Readonly<Record<number, string>> = {
  [EVENT_CODE.ILLEGAL_DEV_TABLE_ENTRY]: 'the device table entry of the function is illegal',
  [EVENT_CODE.IO_PAGE_FAULT]: 'the tables do not allow the access',
  [EVENT_CODE.DEV_TAB_HARDWARE_ERROR]: 'the device table cannot be read',
  [EVENT_CODE.PAGE_TAB_HARDWARE_ERROR]: 'a page table or interrupt table cannot be read',
  [EVENT_CODE.ILLEGAL_COMMAND_ERROR]: 'a command is illegal',
  [EVENT_CODE.COMMAND_HARDWARE_ERROR]: 'the command buffer cannot be read',
  [EVENT_CODE.IOTLB_INV_TIMEOUT]: 'a device did not answer the invalidation of its TLB in time',
  [EVENT_CODE.INVALID_DEVICE_REQUEST]: 'the function may not send such a request',
  [EVENT_CODE.INVALID_PPR_REQUEST]: 'the function may not send page requests',
}

/** What the flags of an IO_PAGE_FAULT add. */
function pageFaultWords(flags: number): string {
  const what = flags & EVENT_FLAG.I ? 'interrupt' : flags & EVENT_FLAG.RW ? 'write' : 'read'
  const table = flags & EVENT_FLAG.GN ? 'guest table entry' : 'table entry'
  if (flags & EVENT_FLAG.RZ) return `${what}: a reserved bit or an impossible value stands in the ${table}`
  if (flags & EVENT_FLAG.PE) return `${what} without permission in the DTE or a ${table}`
  if (flags & EVENT_FLAG.PR)
    return `${what}: the ${table} has an impossible level or size, or skipped address bits are set`
  return `${what}: no ${table} is present, or the address lies beyond the tables`
}

/**
 * A reason of a unit with QEMU's personality in words. Its page faults say in bits 1:0 of the flags what was wanted, and set I
 * each time (hw/i386/amd_iommu.c amdvi_page_fault, AMDVI_PERM_READ, AMDVI_PERM_WRITE); of why they say nothing.
 */
export function qemuReasonText(status: number): string {
  if (codeOf(status) !== EVENT_CODE.IO_PAGE_FAULT) return reasonText(codeOf(status))
  const flags = flagsOf(status)
  const what = flags & QEMU_WANTED.WRITE ? 'write: ' : flags & QEMU_WANTED.READ ? 'read: ' : ''
  return `${EVENT_NAMES[EVENT_CODE.IO_PAGE_FAULT]}: ${what}${WORDS[EVENT_CODE.IO_PAGE_FAULT]}`
}

/** A reason in words, led by the specification's name of the event. */
export function reasonText(status: number): string {
  const code = codeOf(status)
  const flags = flagsOf(status)
  const name = EVENT_NAMES[code] || `event ${code}`
  const names = Object.entries(EVENT_FLAG).flatMap(([flag, bit]) => (flags & bit ? [flag] : []))
  const words = code === EVENT_CODE.IO_PAGE_FAULT ? pageFaultWords(flags) : (WORDS[code] ?? 'not a reason of this unit')
  return `${name}${names.length > 0 ? ` (${names.join('+')})` : ''}: ${words}`
}
