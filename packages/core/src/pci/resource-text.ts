/** The `resource` attribute: one line "first last flags" for each BAR, the ROM, SR-IOV BARs and bridge windows. */
import type { Bar, PciFunction } from './function.ts'

/** include/linux/ioport.h. */
const FLAG = {
  SHADOW: 0x2,
  FIXED: 0x10,
  IO: 0x100,
  MEM: 0x200,
  PREFETCH: 0x2000,
  READONLY: 0x4000,
  SIZEALIGN: 0x4_0000,
  MEM_64: 0x10_0000,
  UNSET: 0x2000_0000,
} as const

/** BARs, ROM and the six of SR-IOV; a bridge adds four windows. */
const FIXED = 13
const WITH_WINDOWS = 17
const ROM = 6
const FIRST_VIRTUAL = 7

interface Resource {
  readonly first: number
  readonly last: number
  readonly flags: number
}
const NOTHING: Resource = { first: 0, last: 0, flags: 0 }

/** As drivers/pci/pci-sysfs.c resource_show prints it, without the newline at the end. */
export function resourceText(fn: PciFunction): string {
  const behind = fn.bridge !== undefined && fn.bridge.secondary !== 0
  const all = Array.from({ length: behind ? WITH_WINDOWS : FIXED }, (_, i) => resource(fn, i))
  return all.map(({ first, last, flags }) => [first, last, flags].map(wide).join(' ')).join('\n')
}

const wide = (value: number): string => `0x${value.toString(16).padStart(16, '0')}`

function resource(fn: PciFunction, index: number): Resource {
  if (index >= FIXED) return window(fn, index - FIXED)
  if (index >= FIRST_VIRTUAL) return virtual(fn, index - FIRST_VIRTUAL)
  if (index === ROM && fn.romShadow) {
    const { first, bytes } = fn.romShadow
    return { first, last: first + bytes - 1, flags: FLAG.MEM | FLAG.SHADOW | FLAG.FIXED }
  }
  const bar = fn.bars.find((b) => b.index === index)
  if (!bar) return NOTHING
  const address = fn.barRegister(index)
  const flags = barFlags(bar)
  // No address was given: drivers/pci/probe.c __pci_read_base.
  if (address === 0) return { first: 0, last: bar.size - 1, flags: flags | FLAG.UNSET }
  return { first: address, last: address + bar.size - 1, flags }
}

/** The BARs n of all virtual functions together: drivers/pci/iov.c sriov_init. */
function virtual({ sriov }: PciFunction, index: number): Resource {
  const bar = sriov?.bars.find((b) => b.index === index)
  if (!sriov || !bar) return NOTHING
  const address = sriov.base(bar)
  const bytes = bar.size * sriov.totalVfs
  const flags = barFlags(bar)
  if (address === 0) return { first: 0, last: bytes - 1, flags: flags | FLAG.UNSET }
  return { first: address, last: address + bytes - 1, flags }
}

/** drivers/pci/probe.c decode_bar: the register's own low bits, and what they mean. */
function barFlags({ space, wide: is64, prefetchable }: Omit<Bar, 'window'>): number {
  if (space === 'io') return FLAG.SIZEALIGN | FLAG.IO | 0x1
  if (space === 'rom') return FLAG.SIZEALIGN | FLAG.READONLY | FLAG.PREFETCH | FLAG.MEM
  const type = (is64 ? FLAG.MEM_64 | 0x4 : 0) | (prefetchable ? FLAG.PREFETCH | 0x8 : 0)
  return FLAG.SIZEALIGN | FLAG.MEM | type
}

/** I/O, memory, prefetchable memory: drivers/pci/probe.c pci_read_bridge_io and its neighbours. A closed window is nothing. */
function window(fn: PciFunction, which: number): Resource {
  const read = (offset: number, size: 1 | 2 | 4): number => fn.readConfig(offset, size)
  if (which === 0) {
    const base = read(0x1c, 1)
    const upper = (base & 0xf) === 1
    const first = ((base & 0xf0) << 8) + (upper ? read(0x30, 2) * 0x1_0000 : 0)
    const last = ((read(0x1d, 1) & 0xf0) << 8) + 0xfff + (upper ? read(0x32, 2) * 0x1_0000 : 0)
    return open(first, last, FLAG.IO | (base & 0xf), base === 0 && read(0x1d, 1) === 0)
  }
  if (which === 1)
    return open(memory(read(0x20, 2)), memory(read(0x22, 2)) + 0xf_ffff, FLAG.MEM | (read(0x20, 2) & 0xf))
  if (which !== 2) return NOTHING
  const base = read(0x24, 2)
  const is64 = (base & 0xf) === 1
  const first = memory(base) + (is64 ? read(0x28, 4) * 0x1_0000_0000 : 0)
  const last = memory(read(0x26, 2)) + 0xf_ffff + (is64 ? read(0x2c, 4) * 0x1_0000_0000 : 0)
  return open(first, last, FLAG.MEM | FLAG.PREFETCH | (base & 0xf) | (is64 ? FLAG.MEM_64 : 0))
}

/** Bits 31:20 of a memory window's register. */
const memory = (register: number): number => (register & 0xfff0) * 0x1_0000

const open = (first: number, last: number, flags: number, absent = false): Resource =>
  absent || first > last ? NOTHING : { first, last, flags }
