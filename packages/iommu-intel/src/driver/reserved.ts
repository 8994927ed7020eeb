/** Ranges a domain of a function must leave alone or map one to one. drivers/iommu/intel/iommu.c intel_iommu_get_resv_regions. */
import { MSI_WINDOW, type PciFunction, type ReservedRegion } from '@ioasis/core'
import { lists, type ScopeEntry } from './scope.ts'

/** Memory that firmware says some functions keep using (RMRR). */
export interface ReservedMemoryOptions {
  readonly segment?: number
  /** First and last byte, host-physical. */
  readonly first: number
  readonly last: number
  /** The functions, and bridges that stand for all behind them. */
  readonly scope: readonly ScopeEntry[]
}

/** The interrupt window: writes there never reach the page tables. */
const INTERRUPTS: ReservedRegion = Object.freeze({
  first: BigInt(MSI_WINDOW.first),
  last: BigInt(MSI_WINDOW.last),
  type: 'msi',
  read: false,
  write: false,
})

/** What CONFIG_INTEL_IOMMU_FLOPPY_WA maps for an ISA bridge: the first 16 MiB. */
const ISA: ReservedRegion = Object.freeze({ first: 0n, last: 0xff_ffffn, type: 'relaxable', read: true, write: true })

const baseClass = (fn: PciFunction): number => fn.readConfig(0x0b, 1)
const subClass = (fn: PciFunction): number => fn.readConfig(0x0a, 1)
const isUsb = (fn: PciFunction): boolean => baseClass(fn) === 0x0c && subClass(fn) === 0x03
const isDisplay = (fn: PciFunction): boolean => baseClass(fn) === 0x03
const isIsaBridge = (fn: PciFunction): boolean => baseClass(fn) === 0x06 && subClass(fn) === 0x01

/**
 * The regions of a function, as Linux lists them: RMRRs in table order, the ISA range, the interrupt window.
 * @param reserved what firmware reserves
 * @param options `floppy`: the kernel was built for floppy drives, which bypass the DMA API
 */
export function reservedRegions(
  fn: PciFunction,
  reserved: readonly ReservedMemoryOptions[],
  options: { readonly floppy?: boolean } = {},
): readonly ReservedRegion[] {
  // USB and graphics use theirs before the operating system runs only.
  const type = isUsb(fn) || isDisplay(fn) ? 'relaxable' : 'direct'
  const regions = reserved
    .filter((r) => (r.segment ?? 0) === fn.segment && lists(r.scope, fn))
    .map((r): ReservedRegion => ({ first: BigInt(r.first), last: BigInt(r.last), type, read: true, write: true }))
  if (options.floppy && isIsaBridge(fn)) regions.push(ISA)
  return [...regions, INTERRUPTS]
}
