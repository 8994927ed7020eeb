import { expect, test } from 'vitest'
import { labMachine, LAB_MACHINES, RECORDED_MACHINES, recordedMachine } from './lab.ts'

test('knows thirteen machines, nine of them recorded', () => {
  expect(LAB_MACHINES.length).toBe(13)
  expect(RECORDED_MACHINES.length).toBe(9)
})

test('takes names with and without q35-', () => {
  expect(labMachine('q35-intel-sc').name).toBe('intel-sc')
  expect(labMachine('intel-sc').description.name).toBe('q35-intel-sc')
})

test('derives machines that were not recorded from one that was', () => {
  expect(labMachine('intel-aw39').description.iommu).toMatchObject({ cap: 0x80d2008c22260206n, ecap: 0xf00fcan })
  expect(labMachine('intel-aw39').addressWidth).toBe(39)
  expect(labMachine('intel-sm-nosc').description.iommu).toMatchObject({ ecap: 0x480080f00f4an })
  expect(labMachine('intel-pt').description.groups?.map((g) => g.type)).toEqual(Array(16).fill('identity'))
})

test('keeps the recorded capability registers of the others', () => {
  expect(labMachine('intel').description.iommu).toMatchObject({ cap: 0x80d2008c222f0606n, ecap: 0xf00f4an })
  expect(labMachine('intel-noir').description.iommu).toMatchObject({ ecap: 0xfc2n })
  expect(labMachine('intel-smpasid').description.iommu).toMatchObject({
    cap: 0x81d2008c222f0606n,
    ecap: 0x8d9a20f00fcen,
  })
  expect(labMachine('amd').description.iommu).toEqual({ kind: 'amd', features: 0x29d3n })
})

test('says what is not modelled', () => {
  expect(labMachine('intel').limits).toEqual([])
  expect(labMachine('amd').limits).toEqual([])
  expect(labMachine('intel-sm').limits).toEqual([
    'scalable mode is not modelled: topology and groups only, DMA is not translated',
  ])
})

test('lists the names when asked for another one', () => {
  expect(() => labMachine('riscv')).toThrow(/^machine "riscv" is not known; there are intel, intel-sc, .*noiommu$/)
  expect(() => labMachine('constructor')).toThrow('is not known')
  expect(() => recordedMachine('q35-intel-pt')).toThrow('was not recorded')
})
