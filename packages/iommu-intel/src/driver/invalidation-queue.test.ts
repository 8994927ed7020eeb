import { bdf, type Hpa, type MmioWindow } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { contextOf, translationsOf } from './invalidation.ts'
import { InvalidationQueue } from './invalidation-queue.ts'
import { type BareMachine, bareMachine } from './machine.test-kit.ts'
import { unitCapabilities } from './unit-capabilities.ts'
import { UnitRegisters } from './unit-registers.ts'

const BASE = 0xfed9_0000

/** Registers that obey at once, and write the status words of wait descriptors (or stop, as told). */
class SimpleQueueUnit implements MmioWindow {
  readonly stores: [offset: number, value: bigint][] = []
  /** Descriptor types that stop the queue. */
  refuse = new Set<number>()
  readonly #machine: BareMachine
  readonly #registers = new Map<number, bigint>()
  readonly #shift: bigint

  constructor(machine: BareMachine, shift: 4 | 5 = 4) {
    this.#machine = machine
    this.#shift = BigInt(shift)
  }
  load(offset: number): bigint {
    return this.#registers.get(offset) ?? 0n
  }
  store(offset: number, _size: number, value: bigint): void {
    this.stores.push([offset, value])
    if (offset === 0x18) this.#registers.set(0x1c, value)
    else if (offset === 0x34) this.#registers.set(0x34, this.load(0x34) & ~value)
    else this.#registers.set(offset, value)
    if (offset === 0x88) this.#run()
  }
  #run(): void {
    if (this.load(0x34)) return
    const { cpu } = this.#machine
    const ring = this.load(0x90) & ~0xfffn
    const size = 1n << this.#shift
    for (let head = this.load(0x80); head !== this.load(0x88); head = (head + size) % (256n * size)) {
      const at = Number(ring + head)
      const lo = cpu.load(at, 8)
      this.#registers.set(0x80, head)
      if (this.refuse.has(Number(lo & 0xfn))) {
        this.#registers.set(0x34, 0x10n)
        return
      }
      if ((lo & 0xfn) === 5n) cpu.store(Number(cpu.load(at + 8, 8)), 4, lo >> 32n)
    }
    this.#registers.set(0x80, this.load(0x88))
  }
}

function world(ecap = 0xf0_0fcan): { machine: BareMachine; unit: SimpleQueueUnit; queue: InvalidationQueue } {
  const machine = bareMachine()
  const capabilities = unitCapabilities(0x80d2_008c_222f_0606n, ecap)
  const unit = new SimpleQueueUnit(machine, capabilities.wideDescriptors ? 5 : 4)
  machine.memory.addMmio(BASE, 4096, unit)
  const { cpu, pages } = machine
  const queue = new InvalidationQueue({
    unit: 'dmar0',
    capabilities,
    registers: new UnitRegisters(cpu, BASE),
    cpu,
    pages,
  })
  return { machine, unit, queue }
}
const words = (machine: BareMachine, hpa: Hpa, n: number): bigint[] =>
  Array.from({ length: n }, (_, i) => machine.cpu.load(hpa + i * 8, 8))

describe('bringing the queue up', () => {
  test('tail zero, address, then enable', () => {
    const { unit, queue } = world()
    expect(unit.stores).toEqual([
      [0x88, 0n],
      [0x90, BigInt(queue.ring)],
      [0x18, 0x0400_0000n],
    ])
  })
  test('a unit that knows scalable mode gets two pages of wide descriptors', () => {
    const { unit, queue, machine } = world(0x4800_80f0_0fcan)
    expect(unit.stores[1]).toEqual([0x90, BigInt(queue.ring) | 0x801n])
    expect(machine.pages.allocated).toBe(8192 + 4096)
  })
  test('closing it stops the unit and frees the memory', () => {
    const { unit, queue, machine } = world()
    queue.close()
    expect(unit.stores.at(-1)).toEqual([0x18, 0n])
    expect(machine.pages.allocated).toBe(0)
  })
})

describe('submitting', () => {
  test('puts the descriptors and a wait in the ring and moves the tail', () => {
    const { machine, unit, queue } = world()
    queue.submit([contextOf(2, bdf(0, 2, 0)), translationsOf(2)])
    expect(words(machine, queue.ring, 6)).toEqual([
      0x10_0002_0031n,
      0n,
      0x0002_00e2n,
      0n,
      0x2_0000_0025n,
      BigInt(queue.statuses) + 8n,
    ])
    expect(unit.stores.at(-1)).toEqual([0x88, 0x30n])
  })
  test('goes round the end of the ring', () => {
    const { unit, queue } = world()
    for (let i = 0; i < 128; i++) queue.submit([translationsOf(2)])
    expect(unit.stores.at(-1)).toEqual([0x88, 0n])
    queue.submit([translationsOf(2)])
    expect(unit.stores.at(-1)).toEqual([0x88, 0x20n])
  })
  test('more requests than the ring holds go in parts', () => {
    const { unit, queue } = world()
    const before = unit.stores.length
    queue.submit(Array.from({ length: 300 }, () => translationsOf(2)))
    expect(unit.stores.slice(before)).toEqual([
      [0x88, 255n * 16n],
      [0x88, ((255n + 47n) % 256n) * 16n],
    ])
  })
  test('nothing to ask touches nothing', () => {
    const { unit, queue } = world()
    queue.submit([])
    expect(unit.stores).toHaveLength(3)
  })
})

describe('a refused descriptor', () => {
  test('is replaced by a wait, the error cleared, and the rest is done', () => {
    const { unit, queue } = world()
    unit.refuse.add(1)
    queue.submit([translationsOf(2), contextOf(2, bdf(0, 2, 0)), translationsOf(3)])
    expect(queue.refused).toBe(1)
    expect(unit.stores.slice(-2)).toEqual([
      [0x34, 0x10n],
      [0x88, 0x40n],
    ])
    unit.refuse.clear()
    queue.submit([translationsOf(2)])
    expect(queue.refused).toBe(1)
  })
  test('a wait that is refused itself is broken hardware', () => {
    const { unit, queue } = world()
    unit.refuse.add(5)
    expect(() => queue.submit([translationsOf(2)])).toThrow('stopped at slot 1')
  })
})
