/** VT-d silicon in legacy mode against the unit kit, fed with tables written word by word from Intel VT-d r4.1 chapter 9. */
import { HostMemory } from '@ioasis/core'
import { describeIommuUnit, type UnitRig } from '@ioasis/testkit/kits'
import { vtdCaseUnit } from './case-unit.ts'

/** Root entry of bus 0; context entries of 00:02.0 (domain 1) and 00:03.0 (domain 2), four levels; their tables. */
const TABLES: readonly (readonly [hpa: number, ...words: bigint[]])[] = [
  [0x10_0000, 0x10_1001n],
  [0x10_1100, 0x11_0001n, 0x102n],
  [0x10_1180, 0x12_0001n, 0x202n],
  [0x11_0000, 0x11_1003n],
  [0x11_1000, 0x11_2003n],
  [0x11_2488, 0x11_3003n],
  [0x11_3a28, 0x200_0003n, 0x200_1001n],
  [0x12_0000, 0x12_1003n],
  [0x12_1000, 0x12_2003n],
  [0x12_2488, 0x12_3003n],
  [0x12_3a28, 0x210_0003n],
]

function create(): UnitRig {
  const memory = new HostMemory()
  memory.addRam(0, 64 << 20)
  for (const [hpa, ...words] of TABLES) memory.write(hpa, new Uint8Array(BigUint64Array.from(words).buffer))
  const properties = { cap: '0xd2008c222f0606', ecap: '0xf42', haw: 48 }
  const { unit } = vtdCaseUnit(properties, { memory, raise: () => undefined }, 'specification')
  unit.mmio.store(0x20, 8, 0x10_0000n)
  unit.mmio.store(0x18, 4, 0x4000_0000n)
  unit.mmio.store(0x18, 4, 0x8000_0000n)
  const newFaults = (): number => {
    const full = unit.mmio.load(0x228, 8) >> 63n
    unit.mmio.store(0x22c, 4, 0x8000_0000n)
    unit.mmio.store(0x34, 4, 1n)
    return Number(full)
  }
  return { memory, unit, newFaults }
}

describeIommuUnit({
  name: 'Intel VT-d, legacy mode, 48 bits',
  create,
  golden: {
    page: { requester: 0x10, iova: 0x1234_5000n, hpa: 0x200_0000 },
    samePageOfOther: { requester: 0x18, iova: 0x1234_5000n, hpa: 0x210_0000 },
    readOnly: { requester: 0x10, iova: 0x1234_6000n, hpa: 0x200_1000 },
    unmapped: { requester: 0x10, iova: 0x1234_7000n },
    stranger: 0x20,
    tables: [0x10_0000, 0x10_1000, 0x11_0000, 0x11_1000, 0x11_2000, 0x11_3000, 0x12_3000].map((hpa) => ({
      hpa,
      bytes: 4096,
    })),
  },
})
