/** The power management capability: the user asks for a state, the driver sets it. drivers/vfio/pci/vfio_pci_config.c vfio_pm_config_write. */
import { PM } from '@ioasis/core'
import type { Target } from './owner.ts'
import { type Access, byBits, NONE, permission } from './permission.ts'

const HIDDEN = PM.PME_ENABLE | PM.PME_STATUS
const bits = byBits(
  permission(8, [
    [1, 1, 0xff, NONE],
    [PM.CAPABILITIES, 2, PM.PME_SUPPORT, NONE],
    [PM.CONTROL, 4, HIDDEN, ~(HIDDEN | PM.STATE) >>> 0],
  ]),
)

/** The rules of the power management capability. */
export const powerManagement: Required<Access<Target>> = {
  read: bits.read,
  write(target, chunk, value) {
    bits.write(target, chunk, value)
    if (chunk.offset === PM.CONTROL) target.owner.setPowerState((value & PM.STATE) as 0 | 1 | 2 | 3)
  },
}
