/** The VFIO driver of PCI functions. */
export { VfioPciDevice } from './device.ts'
export { vfioPci, type VfioPciOptions } from './plugin.ts'
export { PciSession } from './session.ts'
