/** Capabilities whose rules are mostly bits: advanced features, PCI-X, and the extended ones a user may write. */
import { AF } from '@ioasis/core'
import type { Target } from './owner.ts'
import { type Access, ALL, byBits, NONE, permission } from './permission.ts'

/** AF_CAP: transactions pending. */
const TRANSACTIONS_PENDING = 0x1

const afBits = byBits(
  permission(6, [
    [1, 1, 0xff, NONE],
    [AF.CONTROL, 1, AF.FLR, AF.FLR],
  ]),
)

/** Conventional function level reset: the bit is the user's own and starts a reset. vfio_af_config_write */
export const advancedFeatures: Required<Access<Target>> = {
  read: afBits.read,
  write(target, chunk, value) {
    const { fn, virtual, owner } = target
    const start = chunk.pos - chunk.offset
    afBits.write(target, chunk, value)
    if (!((virtual[start + AF.CONTROL] as number) & AF.FLR)) return
    virtual[start + AF.CONTROL] = (virtual[start + AF.CONTROL] as number) & ~AF.FLR
    const both = AF.CAP_FLR | TRANSACTIONS_PENDING
    if (((fn.config[start + AF.CAPABILITIES] as number) & both) === both) owner.memoryOff(() => owner.resetFunction())
    owner.memoryOn()
  },
}

/** PCI-X command and ECC control. */
export const pciX: Required<Access> = byBits(
  permission(24, [
    [1, 1, 0xff, NONE],
    [2, 2, NONE, 0xffff],
    [8, 4, NONE, ALL],
  ]),
)

const UNCORRECTABLE = 0x03ff_f031
const CORRECTABLE = 0xf1c1
/** ECRC generation and check enable. */
const ECRC = 0x140

/** Advanced Error Reporting: status, masks and severities. init_pci_ext_cap_err_perm */
export const errorReporting: Required<Access> = byBits(
  permission(0x2c, [
    [0, 4, ALL, NONE],
    [0x04, 4, NONE, UNCORRECTABLE],
    [0x08, 4, NONE, UNCORRECTABLE],
    [0x0c, 4, NONE, UNCORRECTABLE],
    [0x10, 4, NONE, CORRECTABLE],
    [0x14, 4, NONE, CORRECTABLE],
    [0x18, 4, NONE, ECRC],
  ]),
)

/** Power budgeting: the selector of what the read-only data shows. init_pci_ext_cap_pwr_perm */
export const powerBudgeting: Required<Access> = byBits(
  permission(0x10, [
    [0, 4, ALL, NONE],
    [0x08, 1, NONE, 0xff],
  ]),
)
