/** What an opened function answers about its regions and interrupts. drivers/vfio/pci/vfio_pci_core.c vfio_pci_ioctl_get_region_info, _get_irq_info. */
import { CAP, changeCommand, COMMAND, MSI, MSIX, UapiError, type VfioIrq, type VfioRegion } from '@ioasis/core'
import { VFIO_IRQ_INFO, VFIO_PCI_IRQ, VFIO_PCI_REGION, VFIO_REGION_INFO_CAP, VFIO_REGION_INFO_FLAG } from '@ioasis/uapi'
import type { UserConfigSpace } from './config/space.ts'
import type { HeldFunction } from './held-function.ts'
import type { HiddenTable, Regions } from './regions.ts'
import { assigned } from './resources.ts'
import { word } from './config/words.ts'

const { READ, WRITE, MMAP } = VFIO_REGION_INFO_FLAG
const { EVENTFD, MASKABLE, AUTOMASKED, NORESIZE } = VFIO_IRQ_INFO
/** Legacy VGA reaches up to the end of its memory. */
const VGA_BYTES = 0xc_0000n

/** An opened function, to be described. */
export interface DescribedFunction {
  readonly device: HeldFunction
  readonly config: UserConfigSpace
  readonly regions: Regions
  /** Where its MSI-X table lies; absent: it has none. */
  readonly msix: HiddenTable | undefined
  readonly mappable: ReadonlySet<number>
}

/** @throws UapiError EINVAL for an index it does not have */
export function regionInfo(session: DescribedFunction, index: number): VfioRegion {
  const offset = BigInt(index) << 40n
  switch (index) {
    case VFIO_PCI_REGION.CONFIG:
      return { flags: READ | WRITE, size: BigInt(session.config.size), offset }
    case VFIO_PCI_REGION.ROM:
      return { ...romInfo(session), offset }
    case VFIO_PCI_REGION.VGA:
      if (session.device.isVga) return { flags: READ | WRITE, size: VGA_BYTES, offset }
      break
    default:
      if (index < VFIO_PCI_REGION.ROM) return { ...barInfo(session, index), offset }
  }
  throw new UapiError('EINVAL', 'VFIO_DEVICE_GET_REGION_INFO', { index })
}

function barInfo({ msix, device, mappable }: DescribedFunction, index: number): Omit<VfioRegion, 'offset'> {
  const bar = assigned(device.resources, index)
  if (!bar) return { flags: 0, size: 0n }
  const canMap = mappable.has(index)
  const info = { flags: READ | WRITE | (canMap ? MMAP : 0), size: BigInt(bar.size) }
  if (!canMap || msix?.bar !== index) return info
  const body = new Uint8Array(0)
  return { ...info, capabilities: [{ id: VFIO_REGION_INFO_CAP.MSIX_MAPPABLE, version: 1, body }] }
}

/** A ROM without a valid image is none. */
function romInfo(session: DescribedFunction): Omit<VfioRegion, 'offset'> {
  const rom = assigned(session.device.resources, VFIO_PCI_REGION.ROM)
  if (!rom) return { flags: 0, size: 0n }
  const { fn } = session.device
  const command = fn.readConfig(0x04, 2)
  changeCommand(fn, { set: COMMAND.MEMORY })
  const valid = session.regions.romBytes > 0
  fn.writeConfig(0x04, 2, command)
  return valid ? { flags: READ, size: BigInt(rom.size) } : { flags: 0, size: 0n }
}

/** Interrupts of an index; 0: none, or no such index. */
export function irqCount({ device, config }: DescribedFunction, index: number): number {
  const { fn } = device
  switch (index) {
    case VFIO_PCI_IRQ.INTX:
      return config.interruptPin ? 1 : 0
    case VFIO_PCI_IRQ.MSI: {
      const at = fn.capability(CAP.MSI)
      return at ? 1 << ((word(fn.config, at + MSI.FLAGS) & MSI.CAPABLE) >> 1) : 0
    }
    case VFIO_PCI_IRQ.MSIX: {
      const at = fn.capability(CAP.MSIX)
      return at ? (word(fn.config, at + MSIX.FLAGS) & MSIX.SIZE) + 1 : 0
    }
    case VFIO_PCI_IRQ.ERR:
      return fn.capability(CAP.EXPRESS) ? 1 : 0
    default:
      return index === VFIO_PCI_IRQ.REQ ? 1 : 0
  }
}

/** @throws UapiError EINVAL for an index it does not have */
export function irqInfo(session: DescribedFunction, index: number): VfioIrq {
  const none = index === VFIO_PCI_IRQ.ERR && !session.device.fn.capability(CAP.EXPRESS)
  if (index >= VFIO_PCI_IRQ.COUNT || none) throw new UapiError('EINVAL', 'VFIO_DEVICE_GET_IRQ_INFO', { index })
  const count = irqCount(session, index)
  // MSI-X vectors may come and go one by one, on x86 always.
  const grows = index === VFIO_PCI_IRQ.MSIX && count > 0
  const more = index === VFIO_PCI_IRQ.INTX ? MASKABLE | AUTOMASKED : grows ? 0 : NORESIZE
  return { flags: EVENTFD | more, count }
}
