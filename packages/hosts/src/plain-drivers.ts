/**
 * Kernel drivers that the lab machines had bound and that do nothing here but hold their function: pcieport, which lets others
 * use its group's DMA; pci-stub, which does nothing at all; and pvpanic-pci, an ordinary driver of the DMA API.
 */
import { Drivers, type PciDriver, type PciFunction, type Plugin, REMOVED, UapiError } from '@ioasis/core'

/** A driver that takes whatever matches, and `probe` does not refuse. */
const holding = (driver: Omit<PciDriver, 'probe' | 'remove'> & Partial<Pick<PciDriver, 'probe'>>): PciDriver => ({
  probe: () => undefined,
  remove: () => REMOVED,
  ...driver,
})

/** pcie_portdrv_probe(): a bridge to conventional PCI is none. */
const PORTS = new Set(['rootPort', 'upstream', 'downstream'])
function probePort(fn: PciFunction): void {
  if (!fn.bridge || !PORTS.has(fn.bridge.kind)) throw new UapiError('ENODEV', 'pcie_portdrv_probe', { fn: fn.name })
}

/** drivers/pci/pcie/portdrv.c: PCI-to-PCI bridges of normal decoding. */
const PCIEPORT = holding({ name: 'pcieport', ids: [{ class: 0x060400 }], managesDma: true, probe: probePort })
/** drivers/pci/pci-stub.c: no ids of its own, bound by driver_override. */
const PCI_STUB = holding({ name: 'pci-stub', ids: [], managesDma: true })
/** drivers/misc/pvpanic/pvpanic-pci.c. */
const PVPANIC = holding({ name: 'pvpanic-pci', ids: [{ vendor: 0x1b36, device: 0x0011 }] })

/** A plug-in with the three. */
export const plainDrivers = (): Plugin => ({
  name: 'plain drivers',
  contract: 1,
  needs: [Drivers],
  setup: (host) => {
    for (const driver of [PCIEPORT, PCI_STUB, PVPANIC]) host.get(Drivers).register(driver)
  },
})
