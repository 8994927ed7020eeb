/** A device fed by hand: bytes from VIRTIO 1.2 "2.7 Split Virtqueues" and "5.13.6 Device operations", none of them from `src/spec`. */
import { HostMemory } from '@ioasis/core'
import type { GoldenTables, UnitRig } from '@ioasis/testkit/kits'
import { virtioIommuUnit } from '../src/hw/unit.ts'

const [DESCRIPTORS, DRIVER, DEVICE, BUFFERS, EVENTS] = [0x10_0000, 0x10_1000, 0x10_2000, 0x11_0000, 0x12_0000] as const
const u64 = (hex: string): string => hex.match(/../g)?.toReversed().join('') ?? ''
/** A MAP request; addresses in 16 digits of hex, domain and flags in one. */
export const map = (domain: string, iova: string, last: string, hpa: string, flags: string): string =>
  `030000000${domain}000000${u64(iova)}${u64(last)}${u64(hpa)}0${flags}000000`
/** An UNMAP request. */
export const unmap = (domain: string, iova: string, last: string): string =>
  `040000000${domain}000000${u64(iova)}${u64(last)}00000000`
const word = (value: number, digits: number): string => u64(value.toString(16).padStart(digits, '0'))
/** What the device reads of each request. */
export const REQUESTS = [
  // ATTACH 00:02.0 to domain 1, 00:03.0 to domain 2.
  '0100000001000000100000000000000000000000',
  '0100000002000000180000000000000000000000',
  map('1', '0000000012345000', '0000000012345fff', '0000000002000000', '3'),
  map('1', '0000000012346000', '0000000012346fff', '0000000002001000', '1'),
  map('2', '0000000012345000', '0000000012345fff', '0000000002100000', '3'),
]

/** A device that handled `requests`. @returns with it the status of each */
export function fed(requests: readonly string[] = REQUESTS): UnitRig & { readonly statuses: readonly number[] } {
  const memory = new HostMemory()
  memory.addRam(0, 64 << 20)
  const unit = virtioIommuUnit({ name: 'viommu0', covers: (_, id) => id <= 0x1f }, memory, () => undefined)
  const put = (hpa: number, hex: string): unknown =>
    memory.write(
      hpa,
      Uint8Array.from(hex.match(/../g) ?? [], (digits) => parseInt(digits, 16)),
    )
  const describe = (at: number, hpa: number, bytes: number, flags: string, next: number): unknown =>
    put(at, `${word(hpa, 16)}${word(bytes, 8)}${flags}${word(next, 4)}`)
  requests.forEach((request, i) => {
    const buffer = BUFFERS + 0x100 * i
    put(buffer, request)
    describe(DESCRIPTORS + 32 * i, buffer, request.length / 2, '0100', 2 * i + 1)
    describe(DESCRIPTORS + 32 * i + 16, buffer + 0x80, 4, '0200', 0)
    put(buffer + 0x80, 'ffffffff')
    put(DRIVER + 4 + 2 * i, word(2 * i, 4))
  })
  put(DRIVER + 2, word(requests.length, 4))
  for (let i = 0; i < 256; i++) describe(EVENTS + 16 * i, EVENTS + 0x4000 + 24 * i, 24, '0200', 0)
  for (let i = 0; i < 256; i++) put(EVENTS + 0x1004 + 2 * i, word(i, 4))
  put(EVENTS + 0x1002, word(256, 4))
  const store = (offset: number, size: 4 | 8, value: number): void => unit.mmio.store(offset, size, BigInt(value))
  store(0x18, 8, 0x1_0000_0077)
  store(0x20, 4, 0xb)
  for (const [at, ...rings] of [
    [0x40, DESCRIPTORS, DRIVER, DEVICE],
    [0x60, EVENTS, EVENTS + 0x1000, EVENTS + 0x2000],
  ] as const) {
    rings.forEach((hpa, i) => store(at + 8 + 8 * i, 8, hpa))
    store(at, 4, 1)
  }
  store(0x20, 4, 0xf)
  const reread = (): void => store(0x28, 4, 0)
  reread()
  store(0x124, 4, 0)
  const at = (hpa: number, bytes: number): Uint8Array => {
    const into = new Uint8Array(bytes)
    memory.read(hpa, into)
    return into
  }
  let seen = 0
  const newFaults = (): number => {
    const [low = 0, high = 0] = at(EVENTS + 0x2002, 2)
    const before = seen
    seen = low | (high << 8)
    return seen - before
  }
  const statuses = requests.map((_, i) => at(BUFFERS + 0x100 * i + 0x80, 1)[0] as number)
  return { memory, unit, newFaults, reread, statuses }
}

/** What `REQUESTS` mean. */
export const GOLDEN: GoldenTables = {
  page: { requester: 0x10, iova: 0x1234_5000n, hpa: 0x200_0000 },
  samePageOfOther: { requester: 0x18, iova: 0x1234_5000n, hpa: 0x210_0000 },
  readOnly: { requester: 0x10, iova: 0x1234_6000n, hpa: 0x200_1000 },
  unmapped: { requester: 0x10, iova: 0x1234_7000n },
  stranger: 0x08,
  tables: [DESCRIPTORS, DRIVER, DEVICE, BUFFERS].map((hpa) => ({ hpa, bytes: 4096 })),
}
