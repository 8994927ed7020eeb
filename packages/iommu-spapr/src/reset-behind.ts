/** A hot reset of what lies behind a bridge, or of one function where no bridge stands above: what firmware's reset of a slot does. */
import { type Bdf, type PciTopology, resetBus } from '@ioasis/core'

/** @returns false when nothing stands there */
export function resetBehind(pci: Pick<PciTopology, 'at'>, segment: number, slot: Bdf): boolean {
  const fn = pci.at(segment, slot)
  if (!fn) return false
  if (!fn.bridge) {
    fn.reset('bus')
    return true
  }
  resetBus(fn)
  return true
}
