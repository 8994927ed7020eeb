import { describe, expect, test } from 'vitest'
import { AT, testBus } from '../pci/pci-models.test-kit.ts'
import type { PciFunction } from '../pci/function.ts'
import { canNoSnoop, coherencyBox, kvmReport, narrowReport } from './coherency.ts'
import type { IommuDevice } from './driver.ts'

/** Device Control, and its Enable No Snoop. */
const [CONTROL, ENABLE] = [AT.express + 8, 0x800]
const iommu = (enforcesCoherency: boolean): IommuDevice => ({ caps: { enforcesCoherency } }) as unknown as IommuDevice

/** A conventional function. */
const conventional = (): PciFunction => testBus().put(0, 1, 0)
/** A PCI Express endpoint as they leave the factory: Enable No Snoop is set, and software can clear it. */
const express = (): PciFunction => testBus().put(0, 1, 0, { port: 0 })
/** One whose Enable No Snoop is hardwired. */
const hardwired = (value: 0 | 1): PciFunction => {
  const { pci, put } = testBus()
  const { config, bars } = put(0, 1, 0, { port: 0 }).model
  const fixed = config.slice()
  fixed[CONTROL + 1] = value ? 0x28 : 0x20
  const model = { name: 'hardwired', config: fixed, writable: new Uint8Array(4096), bars }
  return pci.place(model, { bdf: 0x10 })
}

describe('a function can send No Snoop requests', () => {
  test('when Enable No Snoop is set', () => {
    expect([canNoSnoop(express()), canNoSnoop(hardwired(1))]).toEqual([true, true])
  })
  test('when software cleared it, for software can set it again', () => {
    const fn = express()
    fn.writeConfig(CONTROL, 2, fn.readConfig(CONTROL, 2) & ~ENABLE)
    expect(fn.readConfig(CONTROL, 2) & ENABLE).toBe(0)
    expect(canNoSnoop(fn)).toBe(true)
  })
  test('but not when it is hardwired to 0, nor over conventional PCI', () => {
    expect([canNoSnoop(hardwired(0)), canNoSnoop(conventional())]).toEqual([false, false])
  })
})

describe('the four boxes', () => {
  test.each([
    { box: 1, can: false, blocks: false, kvm: 'noncoherent', narrow: 'coherent' },
    { box: 2, can: false, blocks: true, kvm: 'coherent', narrow: 'coherent' },
    { box: 3, can: true, blocks: false, kvm: 'noncoherent', narrow: 'noncoherent' },
    { box: 4, can: true, blocks: true, kvm: 'coherent', narrow: 'coherent' },
  ] as const)('$box: device can $can, IOMMU blocks $blocks: $kvm for KVM, $narrow when both are asked', (row) => {
    const fn = row.can ? express() : conventional()
    const device = iommu(row.blocks)
    expect(coherencyBox(fn, device)).toBe(row.box)
    expect(kvmReport(device)).toBe(row.kvm)
    expect(narrowReport(fn, device)).toBe(row.narrow)
  })
  test('without an IOMMU nothing is blocked: KVM hears non-coherent even of a function that cannot', () => {
    expect([coherencyBox(express(), undefined), coherencyBox(conventional(), undefined)]).toEqual([3, 1])
    expect(kvmReport(undefined)).toBe('noncoherent')
    expect([narrowReport(express(), undefined), narrowReport(conventional(), undefined)]).toEqual([
      'noncoherent',
      'coherent',
    ])
  })
})
