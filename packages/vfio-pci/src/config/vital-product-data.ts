/**
 * Vital Product Data: address and data are the user's own, each address written starts one transfer with the hardware's.
 * drivers/vfio/pci/vfio_pci_config.c vfio_vpd_config_write. The function answers at once: Linux polls for at most 125 ms.
 */
import type { Target } from './owner.ts'
import { type Access, ALL, byBits, NONE, permission } from './permission.ts'
import { dword, setDword, setWord, word } from './words.ts'

const ADDRESS = 2
const DATA = 4
/** Written 1: write the data; reads 1 when a read is done. */
const FLAG = 0x8000

const bits = byBits(
  permission(8, [
    [1, 1, 0xff, NONE],
    [ADDRESS, 2, 0xffff, 0xffff],
    [DATA, 4, ALL, ALL],
  ]),
)

/** The rules of the Vital Product Data capability. */
export const vitalProductData: Required<Access<Target>> = {
  read: bits.read,
  write(target, chunk, value) {
    const { fn, virtual } = target
    const start = chunk.pos - chunk.offset
    bits.write(target, chunk, value)
    if (chunk.offset > ADDRESS + 1 || chunk.offset + chunk.count <= ADDRESS + 1) return
    const address = word(virtual, start + ADDRESS)
    // pci_vpd_write() takes whole dwords, and what it refuses is never done.
    if (address & FLAG && address & 3) return
    if (address & FLAG) fn.writeConfig(start + DATA, 4, dword(virtual, start + DATA))
    fn.writeConfig(start + ADDRESS, 2, address)
    const after = fn.readConfig(start + ADDRESS, 2)
    if ((after & FLAG) === (address & FLAG)) return
    if (!(address & FLAG)) setDword(virtual, start + DATA, fn.readConfig(start + DATA, 4))
    setWord(virtual, start + ADDRESS, address ^ FLAG)
  },
}
