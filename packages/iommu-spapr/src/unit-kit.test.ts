/** Bridges against the unit kit, fed with big-endian tables written word by word from skiboot's and QEMU's reading of them. */
import { HostMemory } from '@ioasis/core'
import { describeIommuUnit, type GoldenTables, type UnitRig } from '@ioasis/testkit/kits'
import { Phb } from './hw/phb.ts'

/** Endpoint 3: window 0 of three levels of 512 entries at 0x100000; endpoint 4: one level of 512 entries at 0x104000. */
const TABLES: readonly (readonly [hpa: number, ...words: bigint[]])[] = [
  [0x10_0000, 0x10_1003n],
  [0x10_1000 + 8 * 0x91, 0x10_2003n],
  [0x10_2000 + 8 * 0x145, 0x200_0003n, 0x200_1001n],
  [0x10_4000 + 8 * 0x145, 0x210_0003n],
]
const bigEndian = (words: readonly bigint[]): Uint8Array => {
  const bytes = new Uint8Array(words.length * 8)
  const view = new DataView(bytes.buffer)
  words.forEach((word, i) => view.setBigUint64(8 * i, word))
  return bytes
}
function filled(): HostMemory {
  const memory = new HostMemory()
  memory.addRam(0, 64 << 20)
  for (const [hpa, ...words] of TABLES) memory.write(hpa, bigEndian(words))
  return memory
}

/** No freeze: the kit asks the same requester again after each refusal. */
function create(): UnitRig {
  const memory = filled()
  const unit = new Phb({ name: 'phb0', segment: 0, endpoints: 16, personality: 'qemu' }, memory)
  unit.setEndpoint(0x10, 0x10, 3)
  unit.setEndpoint(0x18, 0x18, 4)
  // table >> 12 in bits 63:16, levels - 1 in 15:13, log2 of entries - 8 in 12:8, log2 of a page - 11 in 4:0
  unit.windows.write(6, 0x0100_4101, 0x0000_0000)
  unit.windows.write(8, 0x0104_0101, 0x0000_0000)
  const newFaults = (): number => unit.errors.splice(0).length
  return { memory, unit, newFaults }
}

const golden: GoldenTables = {
  page: { requester: 0x10, iova: 0x1234_5000n, hpa: 0x200_0000 },
  samePageOfOther: { requester: 0x18, iova: 0x1234_5000n, hpa: 0x210_0000 },
  readOnly: { requester: 0x10, iova: 0x1234_6000n, hpa: 0x200_1000 },
  unmapped: { requester: 0x10, iova: 0x1234_7000n },
  stranger: 0x20,
  messageAddress: 0xffff_0000n,
  tables: [0x10_0000, 0x10_1000, 0x10_2000, 0x10_4000].map((hpa) => ({ hpa, bytes: 4096 })),
}

describeIommuUnit({ name: 'PHB4, three levels and one', create, golden })
