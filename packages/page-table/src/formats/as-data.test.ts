/**
 * Formats of other hardware, written down as data: present bit and preset A and D (x86-64, Intel SDM volume 3 "4.5 4-Level
 * Paging and 5-Level Paging"), next-level field and encoded page sizes (AMD IOMMU "2.2.3 I/O Page Tables for Host
 * Translations"), big-endian entries (POWER TCEs, arch/powerpc/platforms/powernv/pci-ioda-tce.c).
 */
import { flushGather, pageRuns } from '@ioasis/core'
import { describePageTableFormat } from '@ioasis/testkit/kits'
import { expect, test } from 'vitest'
import type { PageTableFormat } from '../format.ts'
import { SIZES, testWorld } from '../world.test-kit.ts'

const ADDRESS = 0x000f_ffff_ffff_f000n

const x86: PageTableFormat = {
  name: 'x86-64',
  endianness: 'little',
  tableShift: 12,
  address: ADDRESS,
  present: 1n,
  permissions: { always: 0x25n, read: 0n, write: 0x42n, writable: 2n },
  levels: [
    { shift: 12, bits: 9, pageSizes: 1n << 12n, leafBits: 0n },
    { shift: 21, bits: 9, pageSizes: 1n << 21n, leafBits: 0x80n, table: { bits: 0x27n, tested: 0x80n } },
    { shift: 30, bits: 9, pageSizes: 1n << 30n, leafBits: 0x80n, table: { bits: 0x27n, tested: 0x80n } },
    { shift: 39, bits: 9, pageSizes: 0n, leafBits: 0n, table: { bits: 0x27n, tested: 0n } },
    { shift: 48, bits: 9, pageSizes: 0n, leafBits: 0n, table: { bits: 0x27n, tested: 0n } },
  ],
}

/** PR, the next level in bits 11:9, IR and IW. */
const pointer = (next: bigint): { readonly bits: bigint; readonly tested: bigint } => ({
  bits: (3n << 61n) | (next << 9n) | 1n,
  tested: 0xe00n,
})

const amdv1: PageTableFormat = {
  name: 'AMD v1',
  endianness: 'little',
  tableShift: 12,
  address: ADDRESS,
  present: 1n,
  permissions: { always: 1n, read: 1n << 61n, write: 1n << 62n, writable: 1n << 62n },
  contiguous: { bits: 0xe00n, tested: 0xe00n },
  levels: [
    { shift: 12, bits: 9, pageSizes: 0x1ffn << 12n, leafBits: 0n },
    { shift: 21, bits: 9, pageSizes: 0x1ffn << 21n, leafBits: 0n, table: pointer(1n) },
    { shift: 30, bits: 9, pageSizes: 0x1ffn << 30n, leafBits: 0n, table: pointer(2n) },
    { shift: 39, bits: 9, pageSizes: 0n, leafBits: 0n, table: pointer(3n) },
  ],
}

const tce: PageTableFormat = {
  name: 'TCE',
  endianness: 'big',
  tableShift: 16,
  address: ADDRESS,
  present: 3n,
  permissions: { always: 0n, read: 1n, write: 2n, writable: 2n },
  levels: [
    { shift: 12, bits: 13, pageSizes: 1n << 12n, leafBits: 0n },
    { shift: 25, bits: 13, pageSizes: 0n, leafBits: 0n, table: { bits: 3n, tested: 0n } },
  ],
}

describePageTableFormat({
  name: 'as data',
  geometries: {
    'x86-64, four levels': () => testWorld(x86, { topLevel: 3, pageSizes: SIZES, iovaBits: 47 }),
    'x86-64, five levels': () => testWorld(x86, { topLevel: 4, pageSizes: SIZES }),
    'AMD v1 with encoded sizes': () => testWorld(amdv1, { topLevel: 3, pageSizes: (1n << 39n) - 4096n }),
    'AMD v1 with encoded sizes behind a CPU cache': () =>
      testWorld(amdv1, { topLevel: 3, pageSizes: (1n << 36n) - 4096n }, { cache: true, flushWrites: true }),
    'TCE, two levels of 64 KiB': () => testWorld(tce, { topLevel: 1, pageSizes: 4096n }),
  },
})

const RW = { read: true, write: true }
const target = (entry: bigint): number => Number(entry & ADDRESS)

test('x86-64: present, user, accessed and dirty are set beforehand', () => {
  const w = testWorld(x86, { topLevel: 3, pageSizes: SIZES })
  w.table.map(0x20_0000n, pageRuns([0x40_0000, 0x20_0000], [0x5000, 0x1000]), RW)
  const first = w.entry(w.table.root, 0)
  expect(first & 0xfffn).toBe(0x27n)
  const directory = target(w.entry(target(first), 0))
  expect(w.entry(directory, 1)).toBe(0x40_00e7n)
  expect(w.entry(target(w.entry(directory, 2)), 0)).toBe(0x5067n)
})

test('AMD v1: an entry names the level below it, a page of 32 KiB fills eight entries with its size', () => {
  const w = testWorld(amdv1, { topLevel: 3, pageSizes: (1n << 39n) - 4096n })
  w.table.map(0x8000n, pageRuns([0x1_0000, 0x8000], [0x9000, 0x1000]), RW)
  const levels = [w.entry(w.table.root, 0)]
  levels.push(w.entry(target(levels[0] as bigint), 0))
  levels.push(w.entry(target(levels[1] as bigint), 0))
  expect(levels.map((entry) => entry & 0xff00_0000_0000_0fffn)).toEqual([
    0x6000_0000_0000_0601n,
    0x6000_0000_0000_0401n,
    0x6000_0000_0000_0201n,
  ])
  const table = target(levels[2] as bigint)
  // 32 KiB: address bits 13:12 are ones, bit 14 is the zero above them.
  expect([7, 8, 15, 16, 17].map((i) => w.entry(table, i))).toEqual([
    0n,
    0x6000_0000_0001_3e01n,
    0x6000_0000_0001_3e01n,
    0x6000_0000_0000_9001n,
    0n,
  ])
  const gather = flushGather()
  expect(w.table.unmap(0xc000n, 0x1000n, gather)).toBe(0x1000n)
  expect([8, 12, 15].map((i) => w.entry(table, i))).toEqual([0x6000_0000_0001_0001n, 0n, 0x6000_0000_0001_7001n])
})

test('TCE: the most significant byte comes first', () => {
  const w = testWorld(tce, { topLevel: 1, pageSizes: 4096n })
  w.table.map(0x2000n, pageRuns([0x12_3456_7000, 0x1000]), RW)
  const bytes = new Uint8Array(8)
  w.memory.read(w.table.root, bytes)
  const table = Number(new DataView(bytes.buffer).getBigUint64(0)) - 3
  w.memory.read(table + 16, bytes)
  expect([...bytes]).toEqual([0, 0, 0, 0x12, 0x34, 0x56, 0x70, 0x03])
})
