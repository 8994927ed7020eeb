import { describe, expect, test } from 'vitest'
import { model, testBus } from './pci-models.test-kit.ts'
import { bdf } from '../address.ts'
import { CompositionError } from '../plugin/plugin.ts'

describe('order', () => {
  test('a bus first, then the buses behind its bridges, whatever the order of placing', () => {
    const { put, pci } = testBus()
    put(0, 4, 0, { port: 4, bridge: [3, 3], multifunction: true })
    put(0, 3, 0, { port: 4, bridge: [1, 2] })
    put(3, 0, 0, { port: 0 })
    put(1, 0, 0, { port: 7, bridge: [2, 2] })
    put(2, 5, 0)
    put(2, 1, 0)
    put(0, 31, 0)
    expect(pci.functions.map((fn) => fn.name.slice(5))).toEqual([
      '00:03.0',
      '00:04.0',
      '00:1f.0',
      '01:00.0',
      '02:01.0',
      '02:05.0',
      '03:00.0',
    ])
  })
  test('segments and further root buses are separate', () => {
    const { pci } = testBus()
    pci.addRootBus(0, 0x80)
    const far = pci.place(model(), { bdf: bdf(0x80, 0, 0) })
    const other = pci.place(model(), { segment: 1, bdf: bdf(0, 0, 0) })
    const first = pci.place(model(), { bdf: bdf(0, 0, 0) })
    expect(pci.functions).toEqual([first, far, other])
    expect(pci.at(1, 0)).toBe(other)
  })
})

test('a closed topology is empty, and its functions reach nothing any more', () => {
  const { pci, put } = testBus()
  const port = put(0, 3, 0, { port: 4, bridge: [1, 1] })
  const behind = put(1, 0, 0, { port: 0 })
  pci.close()
  expect(pci.functions).toEqual([])
  expect([port, behind].map((fn) => [fn.present, fn.dma.write(0n, Uint8Array.of(1)) === 0])).toEqual([
    [false, false],
    [false, false],
  ])
})

const refusal = (place: () => unknown): string => {
  try {
    place()
  } catch (error) {
    if (error instanceof CompositionError) return error.message
  }
  return 'not refused'
}

describe('a model is refused', () => {
  test('where another one stands', () => {
    const { put } = testBus()
    put(0, 1, 0, { name: 'edu' })
    expect(refusal(() => put(0, 1, 0, { name: 'nvme' }))).toBe('0000:00:01.0 "nvme": "edu" stands there already')
  })
  test('on a bus that no bridge leads to', () => {
    expect(refusal(() => testBus().put(5, 0, 0))).toBe(
      `0000:05:00.0 "test": bus 0x5 is no root bus, and no bridge's secondary bus`,
    )
  })
  test('behind another bridge than its author thinks', () => {
    const { put, pci } = testBus()
    const a = put(0, 1, 0, { port: 4, bridge: [1, 1] })
    put(0, 2, 0, { port: 4, bridge: [2, 2] })
    expect(refusal(() => pci.place(model(), { bdf: bdf(2, 0, 0), parent: a }))).toBe(
      '0000:02:00.0 "test": bus 0x2 is not behind 0000:00:01.0; its secondary bus is 0x1',
    )
  })
  test('as a second bridge to one bus', () => {
    const { put } = testBus()
    put(0, 1, 0, { port: 4, bridge: [1, 1] })
    expect(refusal(() => put(0, 2, 0, { port: 4, bridge: [1, 1] }))).toBe(
      '0000:00:02.0 "test": secondary bus 0x1 already lies behind 0000:00:01.0',
    )
  })
  test('where its BAR lies over a decoded one; nothing stays behind', () => {
    const { put, pci, fabric } = testBus()
    put(0, 1, 0, { command: 2, bars: [{ index: 0, size: 0x2000, at: 0xfe80_0000 }] })
    const over = { command: 2, bars: [{ index: 1, size: 0x1000, at: 0xfe80_1000 }] }
    expect(refusal(() => put(0, 2, 0, over))).toBe(
      '0000:00:02.0 "test": BAR 1 at 0xfe801000 overlaps BAR 0 of 0000:00:01.0 at 0xfe800000',
    )
    expect([pci.functions.length, fabric.ports]).toEqual([1, 1])
  })
  test('with a BAR that no hardware has', () => {
    const { put } = testBus()
    expect(refusal(() => put(0, 1, 0, { bars: [{ index: 0, size: 0x1800 }] }))).toContain(
      'BAR 0 has 6144 bytes; a power of two',
    )
    expect(refusal(() => put(0, 1, 0, { bars: [{ index: 5, size: 0x1000, wide: true }] }))).toContain(
      'BAR 5 does not exist',
    )
    expect(refusal(() => put(0, 1, 0, { bars: [{ index: 0, size: 0x1000, at: 0x800 }] }))).toContain('not aligned')
    const twice = [
      { index: 0, size: 0x1000, wide: true },
      { index: 1, size: 0x1000 },
    ]
    expect(refusal(() => put(0, 1, 0, { bars: twice }))).toContain('BAR 1 is used twice')
  })
})

describe('coming and going', () => {
  test('a bridge takes what stands behind it along, deepest first', () => {
    const { put, pci, fabric, memory } = testBus()
    const gone: string[] = []
    const bridge = put(0, 1, 0, { port: 4, bridge: [1, 1], command: 2 })
    const fn = put(1, 0, 0, { port: 0, command: 2, bars: [{ index: 0, size: 0x1000, at: 0xfe60_0000 }] })
    pci.onRemoved((one) => gone.push(`${one.name} ${one.present}`))
    pci.remove(bridge)
    expect(gone).toEqual(['0000:01:00.0 false', '0000:00:01.0 false'])
    expect([pci.functions.length, fabric.ports, memory.whatIs(0xfe60_0000)]).toEqual([0, 0, undefined])
    expect([fn.readConfig(0, 4), fn.dma.enabled]).toEqual([0xffff_ffff, false])
  })
  test('listeners hear of it once the function works, and can stop listening', () => {
    const { put, pci } = testBus()
    const seen: unknown[] = []
    const stop = pci.onAdded((fn) => seen.push(pci.at(0, fn.bdf) === fn))
    put(0, 1, 0)
    stop()
    put(0, 2, 0)
    expect(seen).toEqual([true])
  })
  test('the model is told: attached, then removed', () => {
    const { put, pci } = testBus()
    const told: string[] = []
    const fn = put(0, 1, 0, { attached: (one) => told.push(one.name), removed: () => told.push('removed') })
    pci.remove(fn)
    expect(told).toEqual(['0000:00:01.0', 'removed'])
  })
  test('taking a function out twice is a broken promise', () => {
    const { put, pci } = testBus()
    const fn = put(0, 1, 0)
    pci.remove(fn)
    expect(() => pci.remove(fn)).toThrow('0000:00:01.0 is not on its bus')
  })
})
