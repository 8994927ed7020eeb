import { InterruptController, type MmioWindow, Trace, type TraceEvents } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { DmarUnit } from './dmar-unit.ts'
import type { Invalidation } from './invalidation.ts'
import type { Invalidator } from './invalidation-queue.ts'
import { type BareMachine, bareMachine } from './machine.test-kit.ts'

const BASE = 0xfed9_0000
const CAP = 0x80d2_008c_222f_0606n
const ESRTPS = 1n << 63n

/** Registers that do at once what Global Command says; a fault record at 0x220. */
class ObedientRegisters implements MmioWindow {
  readonly stores: [offset: number, value: bigint][] = []
  readonly values = new Map<number, bigint>()

  load(offset: number, size: number): bigint {
    if (size === 4 && offset % 8 === 4 && !this.values.has(offset)) return (this.values.get(offset - 4) ?? 0n) >> 32n
    return BigInt.asUintN(size * 8, this.values.get(offset) ?? 0n)
  }
  store(offset: number, _size: number, value: bigint): void {
    this.stores.push([offset, value])
    if (offset === 0x18) this.values.set(0x1c, value & ~0x0800_0000n)
    else if (offset === 0x34) this.values.set(0x34, this.load(0x34, 4) & ~value)
    else if (offset === 0x22c) this.values.set(0x228, this.load(0x228, 8) & ~(value << 32n))
    else this.values.set(offset, value)
  }
}
class NotedInvalidations implements Invalidator {
  refused = 0
  readonly bytes = 0
  closed = false
  readonly asked: (readonly Invalidation[])[] = []
  submit(requests: readonly Invalidation[]): void {
    this.asked.push(requests)
  }
  close(): void {
    this.closed = true
  }
}
interface Bench {
  readonly machine: BareMachine
  readonly registers: ObedientRegisters
  readonly queue: NotedInvalidations
  readonly interrupts: InterruptController
  readonly trace: Trace
  readonly start: () => DmarUnit
}
function bench(cap = CAP): Bench {
  const machine = bareMachine()
  const registers = new ObedientRegisters()
  registers.values.set(0x00, 0x10n).set(0x08, cap).set(0x10, 0xf0_0fcan)
  machine.memory.addMmio(BASE, 4096, registers)
  const queue = new NotedInvalidations()
  const interrupts = new InterruptController()
  const trace = new Trace()
  const { cpu, pages } = machine
  const place = { name: 'dmar0', registers: BASE, segment: 0, scope: 'all' } as const
  const start = (): DmarUnit => new DmarUnit(place, { cpu, pages, interrupts, trace }, () => queue)
  return { machine, registers, queue, interrupts, trace, start }
}

describe('bringing a unit up', () => {
  test('root table, its command, then the fault event; translation last', () => {
    const { registers, start } = bench()
    const unit = start()
    unit.enable()
    expect(registers.stores).toEqual([
      [0x20, BigInt(unit.contexts.root)],
      [0x18, 0x4000_0000n],
      [0x3c, 0x21n],
      [0x40, 0xfee0_0000n],
      [0x44, 0n],
      [0x38, 0n],
      [0x34, 0n],
      [0x18, 0x8000_0000n],
    ])
    expect(unit.version).toBe(0x10)
  })
  test('caches are emptied by hand where the root table command does not', () => {
    const { queue, start } = bench(CAP & ~ESRTPS)
    start()
    expect(queue.asked).toMatchObject([[{ kind: 'context', what: 'global' }], [{ kind: 'iotlb', what: 'global' }]])
  })
  test('what firmware left on is switched off first', () => {
    const { registers, start } = bench()
    registers.values.set(0x1c, 0x8400_0000n)
    start()
    expect(registers.stores.slice(0, 2)).toEqual([
      [0x18, 0x8000_0000n],
      [0x18, 0n],
    ])
  })
  test('a chipset with a write buffer is told to empty it before and after', () => {
    const { registers, start } = bench(CAP | 0x10n)
    start()
    expect(registers.stores.filter(([offset]) => offset === 0x18).map(([, value]) => value)).toEqual([
      0x0800_0000n,
      0x4000_0000n,
      0x0800_0000n,
    ])
  })
  test('protected memory ends once translation is on', () => {
    const { registers, start } = bench(CAP | 0x20n)
    registers.values.set(0x64, 0x8000_0000n)
    start().enable()
    expect(registers.stores.slice(-2)).toEqual([
      [0x18, 0x8000_0000n],
      [0x64, 0n],
    ])
  })
  test('without memory for the root table nothing stays', () => {
    const { machine, queue, start } = bench()
    machine.pages.failAfter = 1
    expect(start).toThrow('ENOMEM')
    expect(queue.closed).toBe(true)
    expect(machine.pages.allocated).toBe(0)
  })
})

test('taken down: translation off, event masked, queue closed, memory given back', () => {
  const { machine, registers, queue, interrupts, start } = bench()
  const unit = start()
  unit.enable()
  unit.close()
  expect(registers.stores.slice(-2)).toEqual([
    [0x18, 0n],
    [0x38, 0x8000_0000n],
  ])
  expect(queue.closed).toBe(true)
  expect(machine.pages.allocated).toBe(0)
  expect(interrupts.allocate()).toBe(0x21)
})

describe('the fault event', () => {
  const record = { reason: 0x05n, source: 0x19n }
  const raise = (b: Bench): TraceEvents['fault'][] => {
    const seen: TraceEvents['fault'][] = []
    b.trace.on('fault', (fault) => void seen.push(fault))
    b.registers.values.set(0x34, 0x2n)
    b.registers.values.set(0x220, 0x12_3000n)
    b.registers.values.set(0x228, (1n << 63n) | (record.reason << 32n) | record.source)
    b.interrupts.deliver({ vector: 0x21, dest: 0, destMode: 'physical', deliveryMode: 0 })
    return seen
  }
  test('reads the record, frees it, clears the status', () => {
    const b = bench()
    b.start()
    const [fault] = raise(b)
    expect(fault).toEqual({
      unit: 'dmar0',
      requester: 0x19,
      iova: 0x12_3000n,
      reason: 5,
      write: true,
      text: 'DMAR: [DMA Write NO_PASID] Request device [0000:00:03.1] fault addr 0x123000 [fault reason 0x05] PTE Write access is not set',
    })
    expect(b.registers.stores.slice(-2)).toEqual([
      [0x22c, 0x8000_0000n],
      [0x34, 0x83n],
    ])
  })
  test('records left by an earlier kernel are freed while the unit comes up', () => {
    const b = bench()
    raise(b)
    b.start()
    expect(b.registers.load(0x228, 8) >> 63n).toBe(0n)
    expect(b.registers.load(0x34, 4)).toBe(0n)
  })
})
