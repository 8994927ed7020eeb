/** BARs and ROM as the host assigned them (`struct resource` of a PCI device): they do not move while a driver has the function. */
import type { PciFunction } from '@ioasis/core'
import type { Resource } from './config/owner.ts'

/** Reads a function's registers at the moment the driver takes it. */
export const resourcesOf = (fn: PciFunction): readonly Resource[] =>
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

/** A BAR of whole pages, or one that has its page for itself. */
export const canMap = ({ space, size, start }: Resource, page: bigint): boolean =>
  space === 'memory' && (size >= page || BigInt(start) % page === 0n)
