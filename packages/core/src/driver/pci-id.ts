/** Which functions a driver is for: `struct pci_device_id` and pci_match_one_device() of drivers/pci/pci.h. */
import { dword, findCapability, word } from '../pci/capability-chain.ts'
import type { PciFunction } from '../pci/function.ts'
import { EXT_CAP, HEADER, SRIOV } from '../pci/header.ts'
import { isBridge } from '../pci/write-masks.ts'

/** What must be equal; a member left out matches everything. */
export interface PciId {
  readonly vendor?: number
  readonly device?: number
  readonly subvendor?: number
  readonly subdevice?: number
  /** Class code, 24 bits, compared under `classMask`. */
  readonly class?: number
  /** Default: all 24 bits. */
  readonly classMask?: number
  /** Counts only for functions whose `driver_override` names the driver (PCI_DRIVER_OVERRIDE_DEVICE_VFIO). */
  readonly overrideOnly?: boolean
}

/** Bridges keep their subsystem ids in a capability (PCI_CAP_ID_SSVID). */
const SUBSYSTEM_CAPABILITY = 0x0d

/** A function's ids as sysfs shows them. A virtual one's vendor and device read ones in its own registers. */
export function idsOf(fn: PciFunction): Required<Omit<PciId, 'overrideOnly' | 'classMask'>> {
  const { config, virtfn } = fn
  const physical = virtfn?.physfn
  const inCapability = isBridge(config) ? findCapability(config, SUBSYSTEM_CAPABILITY) : 0
  const at = inCapability ? inCapability + 4 : HEADER.SUBSYSTEM_VENDOR_ID
  const known = !isBridge(config) || inCapability !== 0
  return {
    vendor: word(physical?.config ?? config, HEADER.VENDOR_ID),
    device: physical
      ? word(physical.config, physical.extendedCapability(EXT_CAP.SRIOV) + SRIOV.VF_DEVICE)
      : word(config, HEADER.DEVICE_ID),
    subvendor: known ? word(config, at) : 0,
    subdevice: known ? word(config, at + 2) : 0,
    class: dword(config, HEADER.REVISION_ID) >>> 8,
  }
}

const same = (want: number | undefined, has: number): boolean => want === undefined || want === has

/** Whether an id stands for a function; `overrideOnly` is not looked at. */
export function idMatches(id: PciId, fn: PciFunction): boolean {
  const is = idsOf(fn)
  if (!same(id.vendor, is.vendor) || !same(id.device, is.device)) return false
  if (!same(id.subvendor, is.subvendor) || !same(id.subdevice, is.subdevice)) return false
  return id.class === undefined || ((id.class ^ is.class) & (id.classMask ?? 0xff_ffff)) === 0
}
