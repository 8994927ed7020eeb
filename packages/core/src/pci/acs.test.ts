import { describe, expect, test } from 'vitest'
import { AT, testBus } from './pci-models.test-kit.ts'
import { acsNames, acsOf, acsPath, enableAcs, isMultifunction } from './acs.ts'

describe('one function', () => {
  test('conventional PCI never isolates', () => {
    expect(acsOf(testBus().put(0, 1, 0))).toEqual({ isolated: false, why: 'conventional', missing: 0 })
  })
  test('bridges to conventional PCI never do, whatever their capability says', () => {
    expect(acsOf(testBus().put(0, 1, 0, { port: 7, bridge: [1, 1], acs: [0x1f, 0x1f] })).why).toBe('portType')
  })
  test('a root port needs the capability', () => {
    expect(acsOf(testBus().put(0, 1, 0, { port: 4, bridge: [1, 1] }))).toEqual({
      isolated: false,
      why: 'noCapability',
      missing: 0x1d,
    })
  })
  test('a root port with a control off does not isolate', () => {
    const fn = testBus().put(0, 1, 0, { port: 4, bridge: [1, 1], acs: [0x1d, 0x0d] })
    expect(acsOf(fn)).toEqual({ isolated: false, why: 'off', missing: 0x10 })
  })
  test('a control that the capability lacks counts as hardwired on', () => {
    const fn = testBus().put(0, 1, 0, { port: 4, bridge: [1, 1], acs: [0x01, 0x01] })
    expect(acsOf(fn)).toEqual({ isolated: true, why: 'on', missing: 0 })
  })
  test('an endpoint alone in its slot isolates without any capability', () => {
    expect(acsOf(testBus().put(0, 1, 0, { port: 0 })).why).toBe('singleFunction')
  })
  test('one of several functions needs the capability', () => {
    const { put } = testBus()
    expect(acsOf(put(0, 1, 0, { port: 0, multifunction: true })).isolated).toBe(false)
    expect(acsOf(put(0, 2, 0, { port: 0, multifunction: true, acs: [0, 0] })).isolated).toBe(true)
  })
  test('a quirk decides before all else', () => {
    const { put, pci } = testBus()
    pci.addQuirk({ name: 'no peers', acs: () => true })
    expect(acsOf(put(0, 1, 0))).toEqual({ isolated: true, why: 'quirk', missing: 0 })
  })
})

test('a function above 0 is one of several although its own header does not say so', () => {
  expect(isMultifunction(testBus().put(0, 2, 1))).toBe(true)
})

describe('a path', () => {
  test('isolates when every port up to the root bus does', () => {
    const { put } = testBus()
    const root = put(0, 1, 0, { port: 4, bridge: [1, 3], acs: [0x1d, 0x1d] })
    put(1, 0, 0, { port: 5, bridge: [2, 3] })
    const down = put(2, 0, 0, { port: 6, bridge: [3, 3], acs: [0x1d, 0x1d] })
    expect(acsPath(down)).toMatchObject({ isolated: true, at: root })
  })
  test('ends at the first port that does not', () => {
    const { put } = testBus()
    put(0, 1, 0, { port: 4, bridge: [1, 2], acs: [0x1d, 0x1d] })
    put(1, 0, 0, { port: 5, bridge: [2, 3] })
    const down = put(2, 0, 0, { port: 6, bridge: [3, 3] })
    expect(acsPath(down)).toMatchObject({ isolated: false, at: down })
  })
})

describe('enabling at boot', () => {
  test('sets what isolation needs as far as the capability has it', () => {
    const fn = testBus().put(0, 1, 0, { port: 4, bridge: [1, 1], acs: [0x1f, 0x02] })
    enableAcs(fn)
    expect(fn.readConfig(AT.acs + 6, 2)).toBe(0x1f)
    const little = testBus().put(0, 1, 0, { port: 4, bridge: [1, 1], acs: [0x05, 0] })
    enableAcs(little)
    expect(little.readConfig(AT.acs + 6, 2)).toBe(0x05)
  })
  test('leaves the capability alone where a quirk does it otherwise', () => {
    const { put, pci } = testBus()
    pci.addQuirk({ name: 'PCH', enableAcs: () => true })
    const fn = put(0, 1, 0, { port: 4, bridge: [1, 1], acs: [0x1d, 0] })
    enableAcs(fn)
    expect(fn.readConfig(AT.acs + 6, 2)).toBe(0)
  })
})

test('controls are named as lspci names them', () => {
  expect(acsNames(0x1d)).toBe('SV RR CR UF')
})
