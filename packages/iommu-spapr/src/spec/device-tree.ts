/** What the device tree of a partition says of a host bridge's windows. LoPAR "ibm,dma-window", "ibm,ddw-applicable", "ibm,ddw-extensions". */

/** Names of the properties; those with `linux,` are the kernel's own. */
export const PROPERTY = {
  DEFAULT: 'ibm,dma-window',
  SAVED: 'ibm,dma-window-saved',
  APPLICABLE: 'ibm,ddw-applicable',
  EXTENSIONS: 'ibm,ddw-extensions',
  DIRECT64: 'linux,direct64-ddr-window-info',
  DMA64: 'linux,dma64-ddr-window-info',
} as const

/** Bytes of the kernel's record of a window; a default window's property is shorter. arch/powerpc/platforms/pseries/iommu.c dynamic_dma_window_prop */
export const DYNAMIC_WINDOW_BYTES = 24

/** A host bridge's node: properties by name. It is the kernel's to change. */
export type DeviceNode = Map<string, Uint8Array>

/** Big-endian cells. */
export const cells = (...values: readonly number[]): Uint8Array => {
  const bytes = new Uint8Array(values.length * 4)
  const view = new DataView(bytes.buffer)
  values.forEach((value, i) => view.setUint32(4 * i, value))
  return bytes
}
/** One cell; undefined: the property is shorter. */
export const cell = (bytes: Uint8Array, index: number): number | undefined =>
  4 * index + 4 <= bytes.length
    ? new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(4 * index)
    : undefined

/** A default window: number, first address, bytes. */
export interface WindowProperty {
  readonly liobn: number
  readonly first: bigint
  readonly bytes: bigint
}
/** The property of a default window, with two cells for an address and two for a size. */
export const defaultWindow = ({ liobn, first, bytes }: WindowProperty): Uint8Array =>
  cells(liobn, Number(first >> 32n), Number(first & 0xffff_ffffn), Number(bytes >> 32n), Number(bytes & 0xffff_ffffn))
/** Reads it. */
export function parseDefaultWindow(bytes: Uint8Array): WindowProperty {
  const at = (i: number): bigint => BigInt(cell(bytes, i) ?? 0)
  return { liobn: cell(bytes, 0) ?? 0, first: (at(1) << 32n) | at(2), bytes: (at(3) << 32n) | at(4) }
}

/** The kernel's record of a window it made. */
export interface DynamicWindow {
  readonly liobn: number
  readonly first: bigint
  readonly pageShift: number
  readonly windowShift: number
}
/** The record as a property: the number is padded to 8 bytes. */
export const dynamicWindow = ({ liobn, first, pageShift, windowShift }: DynamicWindow): Uint8Array =>
  cells(liobn, 0, Number(first >> 32n), Number(first & 0xffff_ffffn), pageShift, windowShift)
