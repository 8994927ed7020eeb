/**
 * The MSI capability: the user's address and data are his own, the hardware has the kernel's. MSI-X is read-only here.
 * drivers/vfio/pci/vfio_pci_config.c vfio_msi_config_write, init_pci_cap_msi_perm.
 *
 * Linux also means to tell the user how many vectors he has (vfio_msi_config_read), but writes that into another byte: reads
 * of the flags show the hardware's own maximum.
 */
import { MSI, msiLayout } from '@ioasis/core'
import type { Target } from './owner.ts'
import { msiBytes } from './lengths.ts'
import { type Access, ALL, byBits, type Count, NONE, permission } from './permission.ts'
import { setWord, word } from './words.ts'

const QUEUE = MSI.CONFIGURED

/** The rules of an MSI capability with these flags. */
export function messageInterrupts(flags: number): Required<Access<Target>> {
  const { data, mask, pending } = msiLayout(flags)
  const rows: [number, Count, number, number][] = [
    [1, 1, 0xff, NONE],
    [MSI.FLAGS, 1, 0xff, 0xff],
    [MSI.ADDRESS, 4, ALL, ALL],
    [data, 2, 0xffff, 0xffff],
  ]
  if (flags & MSI.WIDE) rows.push([MSI.ADDRESS_HIGH, 4, ALL, ALL])
  if (flags & MSI.MASKABLE) rows.push([mask, 4, NONE, ALL], [pending, 4, NONE, ALL])
  const bits = byBits(permission(msiBytes(flags), rows))
  return {
    read: bits.read,
    write(target, chunk, value) {
      bits.write(target, chunk, value)
      if (chunk.offset > MSI.FLAGS || chunk.offset + chunk.count < MSI.FLAGS) return
      const at = chunk.pos - chunk.offset + MSI.FLAGS
      const allowed = allow(target, word(target.virtual, at))
      setWord(target.virtual, at, allowed)
      target.fn.writeConfig(at, 2, allowed)
    },
  }
}

/** MSI is switched on by VFIO_DEVICE_SET_IRQS alone, and never for more vectors than that asked for. */
function allow({ owner }: Target, wanted: number): number {
  const flags = owner.usesMsi ? wanted : wanted & ~MSI.ENABLE
  return (flags & QUEUE) >>> 4 > owner.msiOrder ? (flags & ~QUEUE) | (owner.msiOrder << 4) : flags
}
