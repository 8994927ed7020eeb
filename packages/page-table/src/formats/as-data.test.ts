/** A format that does not come with the package, written down as data: big-endian entries (POWER TCEs, arch/powerpc/platforms/powernv/pci-ioda-tce.c). */
import { pageRuns } from '@ioasis/core'
import { describePageTableFormat } from '@ioasis/testkit/kits'
import { expect, test } from 'vitest'
import type { PageTableFormat } from '../format.ts'
import { testWorld } from '../world.test-kit.ts'

const tce: PageTableFormat = {
  name: 'TCE',
  endianness: 'big',
  tableShift: 16,
  address: 0x000f_ffff_ffff_f000n,
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
    'TCE, two levels of 64 KiB': () => testWorld(tce, { topLevel: 1, pageSizes: 4096n }),
  },
})

const RW = { read: true, write: true }
test('TCE: the most significant byte comes first', () => {
  const w = testWorld(tce, { topLevel: 1, pageSizes: 4096n })
  w.table.map(0x2000n, pageRuns([0x12_3456_7000, 0x1000]), RW)
  const bytes = new Uint8Array(8)
  w.memory.read(w.table.root, bytes)
  const table = Number(new DataView(bytes.buffer).getBigUint64(0)) - 3
  w.memory.read(table + 16, bytes)
  expect([...bytes]).toEqual([0, 0, 0, 0x12, 0x34, 0x56, 0x70, 0x03])
})
