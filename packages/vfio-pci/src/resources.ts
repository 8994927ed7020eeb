/** BARs and ROM as the host assigned them (`struct resource` of a PCI device): they do not move while a driver has the function. */
import type { PciFunction } from '@ioasis/core'
import type { Resource } from './config/owner.ts'

/** Reads a function's registers at the moment the driver takes it. */
export const resourcesOf = (fn: PciFunction): readonly Resource[] => [
  ...(fn.romShadow ? [shadowOf(fn.romShadow)] : []),
  ...barsOf(fn).filter(({ space }) => space !== 'rom' || !fn.romShadow),
]

/** A copy in memory takes the ROM's place. */
const shadowOf = ({ first, bytes }: { readonly first: number; readonly bytes: number }): Resource => ({
  index: 6,
  start: first,
  size: bytes,
  space: 'rom',
  wide: false,
  flags: 0,
})
const barsOf = (fn: PciFunction): readonly Resource[] =>
  fn.bars.map(({ index, size, space, wide, prefetchable }) => ({
    index,
    start: fn.barRegister(index),
    size,
    space,
    wide,
    flags: space === 'io' ? 0x1 : space === 'rom' ? 0 : (prefetchable ? 0x8 : 0) | (wide ? 0x4 : 0),
  }))

/** @returns a resource that has an address */
export const assigned = (resources: readonly Resource[], index: number): Resource | undefined =>
  resources.find((resource) => resource.index === index && resource.start !== 0)

/** A BAR of whole pages, or one that begins its page and shares it with none of `others` (vfio_pci_probe_mmaps). */
export const canMap = ({ space, size, start }: Resource, page: number, others: readonly AddressRange[]): boolean =>
  space === 'memory' &&
  (size >= page || (start % page === 0 && !others.some(({ first, end }) => first < start + page && end > start + size)))

/** Addresses of a BAR. */
export interface AddressRange {
  readonly first: number
  /** Exclusive. */
  readonly end: number
}
/** Where memory of functions lies. */
export const memoryRanges = (functions: readonly PciFunction[]): readonly AddressRange[] =>
  functions.flatMap((fn) =>
    fn.bars.flatMap(({ index, space, size }) => {
      const first = space === 'memory' ? fn.barRegister(index) : 0
      return first === 0 ? [] : [{ first, end: first + size }]
    }),
  )
