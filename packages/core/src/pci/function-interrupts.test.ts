import { describe, expect, test } from 'vitest'
import { AT, load32, store32, testBus, type TestBus } from './pci-models.test-kit.ts'
import type { PciFunction } from './function.ts'

const FEE = 0xfee0_0000

const withMsi = (flags: number): TestBus & { readonly fn: PciFunction } => {
  const bus = testBus()
  const fn = bus.put(0, 1, 0, { command: 4, msi: flags })
  fn.writeConfig(AT.msi + 4, 4, FEE)
  fn.writeConfig(AT.msi + 0x0c, 2, 0x40)
  return { ...bus, fn }
}

describe('MSI', () => {
  test('is not sent before it is enabled', () => {
    const { fn, interrupts } = withMsi(0x80)
    expect([fn.interrupts.raise(0), interrupts.pending]).toEqual([false, []])
  })
  test('adds the vector number to the data, folded to what software granted', () => {
    const { fn, interrupts } = withMsi(0x84)
    fn.writeConfig(AT.msi + 2, 2, 0x11)
    fn.interrupts.raise(1)
    fn.interrupts.raise(2)
    expect(interrupts.pending).toEqual([0x40, 0x41])
  })
  test('a masked vector is pending, and sent when it is unmasked', () => {
    const { fn, interrupts } = withMsi(0x180)
    fn.writeConfig(AT.msi + 0x10, 4, 1)
    fn.writeConfig(AT.msi + 2, 2, 1)
    expect(fn.interrupts.raise(0)).toBe(true)
    expect([interrupts.pending, fn.readConfig(AT.msi + 0x14, 4)]).toEqual([[], 1])
    fn.writeConfig(AT.msi + 0x10, 4, 0)
    expect([interrupts.pending, fn.readConfig(AT.msi + 0x14, 4)]).toEqual([[0x40], 0])
  })
  test('is lost while the function may not master the bus', () => {
    const { fn, interrupts } = withMsi(0x80)
    fn.writeConfig(AT.msi + 2, 2, 1)
    fn.writeConfig(4, 2, 0)
    fn.interrupts.raise(0)
    expect(interrupts.pending).toEqual([])
  })
})

describe('MSI-X', () => {
  const BAR = 0xfe80_0000
  const withMsix = (): TestBus & { readonly fn: PciFunction } => {
    const bus = testBus()
    const window = { load: () => 0x77n, store: () => undefined }
    const fn = bus.put(0, 1, 0, { command: 6, msix: 4, bars: [{ index: 0, size: 0x1000, at: BAR, window }] })
    store32(bus.memory, BAR + 16, FEE)
    store32(bus.memory, BAR + 16 + 8, 0x51)
    return { ...bus, fn }
  }
  test('the table lies over the BAR, and the rest is the model', () => {
    const { memory } = withMsix()
    expect([load32(memory, BAR + 16 + 8), load32(memory, BAR + 0x40), load32(memory, BAR + 0x800)]).toEqual([
      0x51, 0x77, 0,
    ])
  })
  test('an entry is masked at first: its interrupt waits in the pending bits, which software cannot write', () => {
    const { fn, memory, interrupts } = withMsix()
    fn.writeConfig(AT.msix + 2, 2, 0x8000)
    fn.interrupts.raise(1)
    store32(memory, BAR + 0x800, 0)
    expect([interrupts.pending, load32(memory, BAR + 0x800)]).toEqual([[], 2])
    store32(memory, BAR + 16 + 12, 0)
    expect([interrupts.pending, load32(memory, BAR + 0x800)]).toEqual([[0x51], 0])
  })
  test('the function mask holds all back', () => {
    const { fn, memory, interrupts } = withMsix()
    store32(memory, BAR + 16 + 12, 0)
    fn.writeConfig(AT.msix + 2, 2, 0xc000)
    fn.interrupts.raise(1)
    expect(interrupts.pending).toEqual([])
    fn.writeConfig(AT.msix + 2, 2, 0x8000)
    expect(interrupts.pending).toEqual([0x51])
  })
  test('a vector beyond the table is a broken promise', () => {
    const { fn } = withMsix()
    fn.writeConfig(AT.msix + 2, 2, 0x8000)
    expect(() => fn.interrupts.raise(4)).toThrow('MSI-X vector 4: the table has 4 entries')
  })
  test('a reset masks the table and forgets what waited', () => {
    const { fn, memory } = withMsix()
    fn.writeConfig(AT.msix + 2, 2, 0x8000)
    fn.interrupts.raise(1)
    fn.reset()
    fn.writeConfig(0x10, 4, BAR)
    fn.writeConfig(4, 2, 2)
    expect([load32(memory, BAR + 16 + 8), load32(memory, BAR + 16 + 12), load32(memory, BAR + 0x800)]).toEqual([
      0, 1, 0,
    ])
  })
})

describe('INTx', () => {
  const line = { segment: 0, bdf: 0x08, pin: 1 } as const

  test('the line and STATUS follow the level; InterruptDisable hides the line alone', () => {
    const { put, interrupts } = testBus()
    const fn = put(0, 1, 0, { pin: 1 })
    fn.interrupts.setIntx(true)
    expect([interrupts.lineAsserted(line), fn.readConfig(6, 2) & 8]).toEqual([true, 8])
    fn.writeConfig(4, 2, 0x400)
    expect([interrupts.lineAsserted(line), fn.readConfig(6, 2) & 8, fn.interrupts.intxAsserted]).toEqual([
      false,
      8,
      true,
    ])
  })
  test('a function that uses MSI leaves its line alone', () => {
    const { put, interrupts } = testBus()
    const fn = put(0, 1, 0, { pin: 1, msi: 0x80 })
    fn.interrupts.setIntx(true)
    fn.writeConfig(AT.msi + 2, 2, 1)
    expect(interrupts.lineAsserted(line)).toBe(false)
  })
  test('taking the function out drops the line', () => {
    const { put, pci, interrupts } = testBus()
    const fn = put(0, 1, 0, { pin: 1 })
    fn.interrupts.setIntx(true)
    pci.remove(fn)
    expect(interrupts.lineAsserted(line)).toBe(false)
  })
})
