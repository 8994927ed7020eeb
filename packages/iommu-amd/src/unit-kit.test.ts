/** AMD-Vi silicon against the unit kit, fed with tables written word by word from 48882 "I/O Page Tables for Host Translations". */
import { HostMemory } from '@ioasis/core'
import { describeIommuUnit, type UnitRig } from '@ioasis/testkit/kits'
import { amdCaseUnit } from './case-unit.ts'

/** Device table entries of 00:02.0 (domain 1) and 00:03.0 (domain 2), four levels; 00:04.0 is blocked; their tables. */
const TABLES: readonly (readonly [hpa: number, ...words: bigint[]])[] = [
  [0x30_0200, 0x6000_0000_0011_0803n, 1n],
  [0x30_0300, 0x6000_0000_0012_0803n, 2n],
  [0x30_0400, 0x1n, 0n],
  [0x11_0000, 0x6000_0000_0011_1601n],
  [0x11_1000, 0x6000_0000_0011_2401n],
  [0x11_2488, 0x6000_0000_0011_3201n],
  [0x11_3a28, 0x6000_0000_0200_0001n, 0x2000_0000_0200_1001n],
  [0x12_0000, 0x6000_0000_0012_1601n],
  [0x12_1000, 0x6000_0000_0012_2401n],
  [0x12_2488, 0x6000_0000_0012_3201n],
  [0x12_3a28, 0x6000_0000_0210_0001n],
]

function create(): UnitRig {
  const memory = new HostMemory()
  memory.addRam(0, 64 << 20)
  for (const [hpa, ...words] of TABLES) memory.write(hpa, new Uint8Array(BigUint64Array.from(words).buffer))
  const properties = { efr: '0x840', capHeader: '0x803000f' }
  const { unit } = amdCaseUnit(properties, { memory, raise: () => undefined }, 'specification')
  unit.mmio.store(0x00, 8, 0x30_0000n)
  unit.mmio.store(0x08, 8, 0x0800_0000_0024_0000n)
  unit.mmio.store(0x10, 8, 0x0800_0000_0025_0000n)
  unit.mmio.store(0x18, 8, 0x1005n)
  const newFaults = (): number => {
    const entries = (unit.mmio.load(0x2018, 8) - unit.mmio.load(0x2010, 8)) & 0xfffn
    unit.mmio.store(0x2010, 8, unit.mmio.load(0x2018, 8))
    return Number(entries) / 16
  }
  return { memory, unit, newFaults }
}

describeIommuUnit({
  name: 'AMD-Vi, four levels',
  create,
  golden: {
    page: { requester: 0x10, iova: 0x1234_5000n, hpa: 0x200_0000 },
    samePageOfOther: { requester: 0x18, iova: 0x1234_5000n, hpa: 0x210_0000 },
    readOnly: { requester: 0x10, iova: 0x1234_6000n, hpa: 0x200_1000 },
    unmapped: { requester: 0x10, iova: 0x1234_7000n },
    stranger: 0x20,
    tables: [0x30_0000, 0x11_0000, 0x11_1000, 0x11_2000, 0x11_3000, 0x12_3000].map((hpa) => ({ hpa, bytes: 4096 })),
  },
})
