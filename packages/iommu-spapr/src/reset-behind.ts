/** A hot reset of what lies behind a bridge, or of one function where no bridge stands above: what firmware's reset of a slot does. */
import { type Bdf, BRIDGE, BRIDGE_CONTROL, type PciTopology } from '@ioasis/core'

/** @returns false when nothing stands there */
export function resetBehind(pci: Pick<PciTopology, 'at'>, segment: number, slot: Bdf): boolean {
  const fn = pci.at(segment, slot)
  if (!fn) return false
  if (!fn.bridge) {
    fn.reset('bus')
    return true
  }
  const control = fn.readConfig(BRIDGE.CONTROL, 2)
  fn.writeConfig(BRIDGE.CONTROL, 2, control | BRIDGE_CONTROL.BUS_RESET)
  fn.writeConfig(BRIDGE.CONTROL, 2, control & ~BRIDGE_CONTROL.BUS_RESET)
  return true
}
