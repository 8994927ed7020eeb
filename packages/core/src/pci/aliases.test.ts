import { describe, expect, test } from 'vitest'
import { testBus } from './pci-models.test-kit.ts'
import { areDmaAliases, dmaAliases, requesterOf } from './aliases.ts'
import type { PciFunction } from './function.ts'

const ids = (fn: PciFunction): number[] => dmaAliases(fn).map((alias) => alias.bdf)

test('behind root and switch ports a function keeps its own id', () => {
  const { put } = testBus()
  put(0, 1, 0, { port: 4, bridge: [1, 3] })
  put(1, 0, 0, { port: 5, bridge: [2, 3] })
  put(2, 0, 0, { port: 6, bridge: [3, 3] })
  const fn = put(3, 0, 0, { port: 0 })
  expect([ids(fn), requesterOf(fn), fn.requester]).toEqual([[0x300], 0x300, 0x300])
})
test('a PCIe-to-PCI bridge sends requests as function 0 of its secondary bus', () => {
  const { put } = testBus()
  put(0, 5, 0, { port: 4, bridge: [3, 4] })
  const bridge = put(3, 0, 0, { port: 7, bridge: [4, 4] })
  const fn = put(4, 1, 0)
  expect([ids(fn), fn.requester, fn.dma.request.requester]).toEqual([[0x408, 0x400], 0x400, 0x400])
  expect(dmaAliases(fn)[1]?.by).toBe(bridge)
  expect(ids(bridge)).toEqual([0x300])
})
test('a conventional bridge and a PCI-to-PCIe bridge send requests under their own id', () => {
  const { put } = testBus()
  put(0, 1, 0, { bridge: [1, 3] })
  put(1, 2, 0, { port: 8, bridge: [2, 2] })
  const fn = put(2, 0, 0, { port: 0 })
  expect([ids(fn), fn.requester]).toEqual([[0x200, 0x110, 0x8], 0x8])
})

describe('quirks', () => {
  test('add ids of the same bus, for functions that need not exist', () => {
    const { put, pci } = testBus()
    pci.addQuirk({ name: 'uses function 1', dmaAliases: (fn) => (fn.bdf === 0x10 ? [0x11] : undefined) })
    const fn = put(0, 2, 0)
    expect([ids(fn), fn.requester]).toEqual([[0x10, 0x11], 0x10])
  })
  test('make two functions aliases of each other, whoever is asked', () => {
    const { put, pci } = testBus()
    pci.addQuirk({ name: 'uses 00:03.0', dmaAliases: () => [0x18] })
    const [a, b, c] = [put(0, 2, 0), put(0, 3, 0), put(0, 4, 0)]
    expect([areDmaAliases(a, b), areDmaAliases(b, a), areDmaAliases(a, c)]).toEqual([true, true, false])
  })
  test('name the function whose id is really used', () => {
    const { put, pci } = testBus()
    const real = put(0, 2, 0)
    pci.addQuirk({ name: 'volume management', realDma: (fn) => (fn.bdf === 0x18 ? real : undefined) })
    const fn = put(0, 3, 0)
    expect([ids(fn), requesterOf(fn)]).toEqual([[0x10], 0x10])
  })
  test('say that a bridge leaves ids alone', () => {
    const { put, pci } = testBus()
    put(0, 1, 0, { port: 7, bridge: [1, 1] })
    pci.addQuirk({ name: 'keeps ids', bridgeKeepsIds: () => true })
    expect(ids(put(1, 1, 0))).toEqual([0x108])
  })
})
