import {
  type AtsPort,
  type DeviceTlb,
  type DmaRequest,
  type IommuUnit,
  type MmioWindow,
  type PriPort,
  DMA,
} from '@ioasis/core'
import { expect, test } from 'vitest'
import type { CaseUnitContext, MakeCaseUnit } from './case-machine.ts'
import { readCaseFile } from './case-reader.ts'
import { checkMutations } from './mutate.ts'
import { playFile } from './player.ts'
import { failureLines } from './report.ts'

const RING = 0x25_0000

/**
 * Speaks AMD's event log: every DMA is refused with an IO_PAGE_FAULT. Register 0x2008 invalidates the device's cache; the
 * command that waits for the device's answer stores 1 at 0x230000, or gives up after 10 ms. ATS grants 2 MiB.
 */
class ToyUnit implements IommuUnit {
  readonly name = 'toy'
  readonly #context: CaseUnitContext
  #tail = 0
  #device: DeviceTlb | undefined
  constructor(context: CaseUnitContext) {
    this.#context = context
  }
  readonly mmio: MmioWindow = {
    load: (offset) => {
      if (offset === 0x10) return 0x800_0000_0025_0000n
      return offset === 0x2018 ? BigInt(this.#tail) : offset === 0x2020 ? 0xan : 0n
    },
    store: (offset, _size, value) => {
      if (offset === 0x2018) this.#tail = Number(value)
      if (offset === 0x2008) this.#invalidate()
    },
  }
  readonly ats: AtsPort = {
    translate: () => DMA.OK,
    connect: (requester, cache) => {
      if (requester === 0x10) this.#device = cache
    },
  }
  readonly pri: PriPort = {
    request: (request) => {
      if (request.last) request.respond('success')
      return true
    },
  }
  covers(): boolean {
    return true
  }
  translate(request: DmaRequest): number {
    this.log(0x2020_0001_0000_0000n | BigInt(request.requester), request.iova)
    return 2
  }
  log(lo: bigint, hi: bigint): void {
    const { memory } = this.#context
    memory.write(RING + this.#tail, new Uint8Array(BigUint64Array.of(lo, hi).buffer))
    this.#tail = (this.#tail + 16) % 4096
  }
  reasonText(): string {
    return 'refused'
  }
  inspect(): readonly [] {
    return []
  }
  #invalidate(): void {
    const { clock, memory } = this.#context
    const late = clock.at(clock.now() + 10, () => this.log(0x7000_0000_0000_0010n, 0x24_0000n))
    this.#device?.invalidate(-1, 0x1234_5000n, 0x1234_5fffn, () => {
      late()
      memory.storeEntry(0, 0x23_0000, 1, 0, true)
    })
  }
}
const make: MakeCaseUnit = (_properties, context) => ({
  unit: new ToyUnit(context),
  idle: () => undefined,
  ats: (request) => ({ status: 'success', read: true, write: request.access !== 1, hpa: 0x220_0000, bytes: 0x20_0000 }),
})
const makeWithoutAts: MakeCaseUnit = (_properties, context) => ({ unit: new ToyUnit(context), idle: () => undefined })

const event = (tail: number, deviceId: string): object => ({
  events: [
    {
      code: '0x2',
      name: 'IO_PAGE_FAULT',
      deviceId,
      domain: '0x1',
      flags: 'RW',
      addr: '0x12345008',
      raw: [`0x20200001000000${deviceId.slice(2)}`, '0x12345008'],
      care: ['0xffffffff000fffff', '0xfffffffffffffffc'],
    },
  ],
  evtTail: `0x${tail.toString(16)}`,
})
const write = { op: 'dma', dir: 'write', iova: '0x12345008', len: 8 }
const ats = { op: 'ats', bdf: '00:02.0', iova: '0x40212000' }
const granted = { status: 'success', addr: '0x2212000', size: 4096, maxSize: 2097152, r: 1 }
const invalidation = { kind: 'ats-invalidate', bdf: '00:02.0', addr: '0x12345000', size: 4096 }
const page = { op: 'page-request', bdf: '00:03.0', addr: '0x1000', pasid: '0x3', r: 1, w: 0, prg: 85 }
const steps = [
  { op: 'reg', off: '0x2018', name: 'EVTTAIL', size: 8, value: '0xff0' },
  { ...write, bdf: '00:02.0', result: { bus: 'error', landed: [], faults: event(0, '0x10') } },
  { ...write, bdf: '00:03.0', result: { bus: 'error', landed: [], faults: event(0x10, '0x18') } },
  { op: 'events', events: [], evtTail: '0x10', status: '0xa' },
  { ...ats, result: { ...granted, w: 1, faults: { events: [], evtTail: '0x10' } } },
  { ...ats, nw: 1, result: { ...granted, w: [0] } },
  { ...page, last: 0, result: {} },
  { ...page, last: 1, result: { faults: { events: [], evtTail: '0x10' } } },
  { op: 'reg', off: '0x2008', name: 'CMDTAIL', size: 8, value: '0x10' },
  {
    op: 'messages',
    messages: [{ kind: 'page-response', bdf: '00:03.0', pasid: '0x3', prg: '0x55', code: 'success' }, invalidation],
  },
  { op: 'read-mem', addr: '0x230000', u64: ['0x1'] },
  { op: 'advance', ms: 20 },
  { op: 'events', events: [], evtTail: '0x10' },
  { op: 'device', bdf: '00:02.0', devTlb: 'silent' },
  { op: 'reg', off: '0x2008', name: 'CMDTAIL', size: 8, value: '0x20' },
  { op: 'advance', ms: 20 },
  {
    op: 'events',
    events: [
      {
        code: '0x7',
        name: 'IOTLB_INV_TIMEOUT',
        deviceId: '0x10',
        domain: '0x0',
        flags: '',
        addr: '0x240000',
        raw: ['0x7000000000000010', '0x240000'],
      },
    ],
    evtTail: '0x20',
  },
  { op: 'messages', messages: [invalidation] },
]
const file = readCaseFile(
  {
    format: 2,
    source: 'hand-written',
    iommu: 'amd',
    mmioBase: '0xfed80000',
    ramBytes: 67108864,
    devices: {},
    cases: [{ name: 'queues', group: 'toy', note: '', confidence: 'high', unit: {}, steps }],
  },
  'toy-spec',
)

test('event log, ATS, page requests, device caches and time follow the case', () => {
  expect(failureLines(playFile(file, { make }))).toStrictEqual([])
})
test('changed expectations about them are noticed', () => {
  const reports = Array.from({ length: 200 }, (_, seed) => checkMutations(file, { make }, seed))
  expect(reports.flatMap((report) => report.missed)).toStrictEqual([])
  expect(reports.every((report) => report.mutated === 1)).toBe(true)
})
test('a unit without ATS fails the cases that need it', () => {
  expect(failureLines(playFile(file, { make: makeWithoutAts }))).toHaveLength(2)
})
