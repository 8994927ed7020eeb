/** Functions with errata that the driver leaves alone, and those whose line it does not offer. drivers/vfio/pci/vfio_pci.c vfio_pci_dev_in_denylist; drivers/vfio/pci/vfio_pci_core.c vfio_pci_nointx. */
import { idsOf, type PciFunction } from '@ioasis/core'

const INTEL = 0x8086
/** include/linux/pci_ids.h PCI_DEVICE_ID_INTEL_QAT_C3XXX, _C62X, _DH895XCC and their virtual functions, _DSA_SPR0, _IAX_SPR0. */
const DENIED: ReadonlySet<number> = new Set([0x19e2, 0x19e3, 0x37c8, 0x37c9, 0x0435, 0x0443, 0x0b25, 0x0cfe])
/** XL710 and its relatives, X550. First and last device id. */
const WITHOUT_LINE: readonly (readonly [number, number])[] = [
  [0x1572, 0x1572],
  [0x1574, 0x1574],
  [0x1580, 0x1581],
  [0x1583, 0x158b],
  [0x37d0, 0x37d2],
  [0x1563, 0x1563],
]

/** Nobody may have it without `disable_denylist`. */
export function isDenied(fn: PciFunction): boolean {
  const { vendor, device } = idsOf(fn)
  return vendor === INTEL && DENIED.has(device)
}

/** It can keep its line down, but does not tell when it raises it. */
export function hasBrokenLine(fn: PciFunction): boolean {
  const { vendor, device } = idsOf(fn)
  return vendor === INTEL && WITHOUT_LINE.some(([first, last]) => device >= first && device <= last)
}
