import { type DmaRequest, type IommuUnit, type MmioWindow, DMA, TARGET } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import type { CaseFile } from './case-file.ts'
import type { CaseUnitContext, MakeCaseUnit } from './case-machine.ts'
import { readCaseFile } from './case-reader.ts'
import { checkMutations } from './mutate.ts'
import { playFile, type PlayOptions } from './player.ts'
import { closingLine, failureLines } from './report.ts'

/** Identity below 16 MiB; the rest is refused with reason 5 into one fault record. Register 0x88 stores a word at 0x230000. */
class ToyUnit implements IommuUnit {
  readonly name = 'toy'
  readonly #context: CaseUnitContext
  readonly #record = new BigUint64Array(2)
  constructor(context: CaseUnitContext) {
    this.#context = context
  }
  readonly mmio: MmioWindow = {
    load: (offset, size) => {
      if (offset === 0x08) return 0x2200_0000n
      if (offset === 0x34) return this.#record[1] ? 2n : 0n
      if (offset === 0x220) return this.#record[0] as bigint
      return offset === 0x228 && size === 8 ? (this.#record[1] as bigint) : 0n
    },
    store: (offset, _size, value) => {
      if (offset === 0x22c) this.#record[1] = 0n
      if (offset === 0x88) this.#context.memory.storeEntry(0, 0x23_0000, Number(value), 0, true)
    },
  }
  covers(): boolean {
    return true
  }
  translate(request: DmaRequest): number {
    const { out } = request
    if (request.iovaHi !== 0 || request.iovaLo >>> 24 !== 0) {
      this.#record[0] = request.iova & ~0xfffn
      this.#record[1] = (1n << 63n) | (5n << 32n) | BigInt(request.requester)
      this.#context.raise(0xfee0_0000n, 0x41)
      return 5
    }
    out.target = TARGET.MEMORY
    out.hpaHi = 0
    out.hpaLo = request.iovaLo
    out.bytes = Math.min(request.length, 4096 - (request.iovaLo & 0xfff))
    out.snooped = !request.noSnoop
    return DMA.OK
  }
  reasonText(): string {
    return 'refused'
  }
  inspect(): readonly [] {
    return []
  }
}
const make: MakeCaseUnit = (_properties, context) => ({ unit: new ToyUnit(context), idle: () => undefined })

const broken: MakeCaseUnit = () => {
  throw new Error('no unit')
}

const record = {
  index: 0,
  reason: ['0x4', '0x5'],
  sourceId: '0x200',
  addr: '0x12345000',
  type: 'write',
  pasid: '0x0',
  pasidPresent: 0,
  exec: 0,
  priv: 0,
  raw: ['0x12345000', '0x8000000400000200'],
  care: ['0xfffffffffffff000', '0xcfffffffffffffff'],
}
const quiet = { fsts: '0x0', records: [] }
const landed = (addr: string): object => ({ bus: 'ok', landed: [{ addr, len: 8 }], faults: quiet })
const steps = [
  { op: 'tag', addr: '0x20000', len: 4096 },
  {
    op: 'dma',
    bdf: '00:02.0',
    dir: 'write',
    iova: '0x20078',
    len: 8,
    result: { ...landed('0x20078'), coherency: 'snoop' },
  },
  {
    op: 'dma',
    bdf: '00:03.0',
    dir: 'read',
    iova: '0x20070',
    len: 24,
    result: { bus: 'ok', read: [{ from: '0x20070', len: 24 }] },
  },
  { op: 'dma', bdf: '00:03.0', dir: 'read', iova: '0x40000', len: 16, result: { read: [{ value: '0x0', len: 16 }] } },
  {
    op: 'dma',
    bdf: '00:02.0',
    dir: 'write',
    iova: '0x20000',
    len: 8,
    noSnoop: 1,
    result: { anyOf: [landed('0x21000'), landed('0x20000')] },
  },
  {
    op: 'reg',
    off: '0x88',
    name: 'IQT',
    size: 8,
    value: '0xcafe',
    memWrites: [{ addr: '0x230000', before: '0x0', after: '0xcafe' }],
  },
  { op: 'read-mem', addr: '0x230000', u64: ['0xfe'], mask: ['0xff'] },
  {
    op: 'dma',
    bdf: '02:07.0',
    dir: 'write',
    iova: '0x12345678',
    len: 8,
    result: { bus: 'error', landed: [], faults: { fsts: '0x2', records: [record] } },
  },
  { op: 'pending-vectors', value: ['0x41'] },
  { op: 'messages', messages: [{ kind: 'fault-event', addr: '0xfee00000', data: '0x41' }] },
  { op: 'reg', off: '0x22c', name: 'FRCD0.hi+4', size: 4, value: '0x80000000' },
  { op: 'read-reg', off: '0x34', name: 'FSTS', size: 4, value: '0x1', mask: '0xfe' },
]
const fileOf = (list: readonly object[]): CaseFile =>
  readCaseFile(
    {
      format: 2,
      source: 'hand-written',
      iommu: 'intel',
      mmioBase: '0xfed90000',
      ramBytes: 67108864,
      devices: {},
      cases: [{ name: 'one', group: 'toy', note: '', confidence: 'high', unit: {}, topology: 'bridges', steps: list }],
    },
    'toy-spec.json',
  )
const played = (list: readonly object[], options: Partial<PlayOptions> = {}) =>
  playFile(fileOf(list), { make, ...options })

describe('player of hardware cases', () => {
  test('a unit that does what the case says differs nowhere', () => {
    const outcomes = played(steps)
    expect(failureLines(outcomes)).toStrictEqual([])
    expect(closingLine(outcomes)).toBe('1 cases, 0 failed, 0 exempt')
  })
  test('reports which alternative a unit chose, and insists on the first one where caches are exact', () => {
    expect(played(steps)[0]?.alternatives).toStrictEqual([{ step: 4, alternative: 1 }])
    expect(failureLines(played(steps, { exactCaches: true }))).toStrictEqual([
      'toy-spec/toy/one steps[4] dma: result.anyOf[0].landed: expected [{"addr":"0x21000","len":8}], got [{"addr":"0x20000","len":8}]',
    ])
  })
  test('an access that lands although it should not is a difference', () => {
    const result = { bus: 'ok', landed: [], faults: quiet }
    const [outcome] = played([{ op: 'dma', bdf: '00:02.0', dir: 'write', iova: '0x1000', len: 4, result }])
    expect(outcome?.differences.map((d) => [d.step, d.field])).toStrictEqual([[0, 'result.landed']])
  })
  test('a field that nobody compares is a difference, not a silence', () => {
    const [outcome] = played([{ op: 'read-reg', off: '0x34', name: 'FSTS', size: 4, value: '0x0', mood: 'fine' }])
    expect(outcome?.differences.map((d) => d.field)).toStrictEqual(['steps[0].mood'])
  })
  test('a unit that throws fails its case alone', () => {
    expect(failureLines(played(steps, { make: broken }))).toStrictEqual([
      'toy-spec/toy/one: exception: expected "none", got "Error: no unit"',
    ])
  })
  test('an expectation changed anywhere is noticed', () => {
    const reports = Array.from({ length: 200 }, (_, seed) => checkMutations(fileOf(steps), { make }, seed))
    expect(reports.flatMap((r) => r.missed)).toStrictEqual([])
    expect(reports.every((r) => r.mutated === 1)).toBe(true)
  })
})
