/**
 * What the kernel keeps of a function over a reset, and puts back. drivers/pci/pci.c pci_save_state, pci_restore_state: the
 * header, and the control fields of a few capabilities. Registers that are neither come out of the reset as the hardware has them.
 * MSI and MSI-X are put back by who set them up.
 */
import type { PciFunction } from './function.ts'
import { ACS, CAP, COMMAND, EXPRESS, EXT_CAP, HEADER } from './header.ts'

/** Values at their offsets, in the order they are written back. */
export type SavedState = readonly { readonly offset: number; readonly size: 2 | 4; readonly value: number }[]

/** BARs and ROM before COMMAND switches them on. */
const HEADER_ORDER = [10, 11, 12, 13, 14, 15, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3]
const EXPRESS_FIELDS = [EXPRESS.DEVCTL, EXPRESS.LNKCTL, EXPRESS.DEVCTL2, EXPRESS.LNKCTL2]
/** Uncorrectable mask and severity, correctable mask, control. */
const ERROR_FIELDS = [0x08, 0x0c, 0x14, 0x18]

/** Reads what is kept. */
export function saveState(fn: PciFunction): SavedState {
  const at = fn.capability(CAP.EXPRESS)
  const version = at ? (fn.config[at + EXPRESS.FLAGS] as number) & EXPRESS.VERSION : 0
  const express = version === 0 ? [] : EXPRESS_FIELDS.slice(0, version === 1 ? 2 : 4)
  const errors = fn.extendedCapability(EXT_CAP.AER)
  const acs = fn.extendedCapability(EXT_CAP.ACS)
  fn.sriov?.remember()
  return [
    ...express.map((field) => kept(fn, at + field, 2)),
    ...(errors ? ERROR_FIELDS.map((field) => kept(fn, errors + field, 4)) : []),
    ...(acs ? [kept(fn, acs + ACS.CONTROL, 2)] : []),
    ...HEADER_ORDER.map((i) => kept(fn, 4 * i, 4)),
  ]
}

/** Writes it back, and switches virtual functions on again, if there are any. */
export function restoreState(fn: PciFunction, saved: SavedState): void {
  // Only what differs, as Linux does: a write may have effects.
  for (const { offset, size, value } of saved) {
    if (fn.readConfig(offset, size) !== value) fn.writeConfig(offset, size, value)
  }
  fn.sriov?.restore()
}

const kept = (fn: PciFunction, offset: number, size: 2 | 4): SavedState[number] => ({
  offset,
  size,
  value: fn.readConfig(offset, size),
})

/** Sets and clears bits of COMMAND. */
export function changeCommand(fn: PciFunction, change: { readonly set?: number; readonly clear?: number }): void {
  const now = fn.readConfig(HEADER.COMMAND, 2)
  const next = (now & ~(change.clear ?? 0)) | (change.set ?? 0)
  if (next !== now) fn.writeConfig(HEADER.COMMAND, 2, next)
}

/** Decoding of the kinds of BARs a function has: what pci_enable_device() switches on. */
export function enabledDecoding(fn: PciFunction): number {
  const given = fn.bars.filter((bar) => bar.space !== 'rom' && fn.barRegister(bar.index) !== 0)
  const has = (space: string): boolean => given.some((bar) => bar.space === space)
  return (has('memory') ? COMMAND.MEMORY : 0) | (has('io') ? COMMAND.IO : 0)
}
