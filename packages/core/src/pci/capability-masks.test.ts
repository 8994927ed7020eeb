import { describe, expect, test } from 'vitest'
import { AT, model } from './pci-models.test-kit.ts'
import { dword, setDword, setWord, word } from './capability-chain.ts'
import type { WriteMasks } from './capability-masks.ts'
import { writeMasks } from './write-masks.ts'

const masks = (options: Parameters<typeof model>[0], at = 0, bytes: readonly number[] = []): WriteMasks => {
  const { config } = model(options)
  config.set(bytes, at)
  return writeMasks(config, [])
}

describe('power management', () => {
  test('PME bits are there for functions that can signal PME', () => {
    const able = masks({ pm: [0xc800, 0] })
    const unable = masks({ pm: [0, 0] })
    expect([word(able.writable, AT.pm + 4), word(able.clearedByOne, AT.pm + 4)]).toEqual([0x103, 0x8000])
    expect([word(unable.writable, AT.pm + 4), word(unable.clearedByOne, AT.pm + 4)]).toEqual([0x3, 0])
  })
})

describe('MSI', () => {
  test('a 32-bit capability has its data behind the address', () => {
    const { writable } = masks({ msi: 0x0100 })
    expect([word(writable, AT.msi + 8), dword(writable, AT.msi + 0xc)]).toEqual([0xffff, 1])
  })
  test('32 vectors have 32 mask bits', () => {
    expect(dword(masks({ msi: 0x018a }).writable, AT.msi + 0x10)).toBe(0xffff_ffff)
  })
})

describe('PCI Express', () => {
  test('a function level reset can be started where it is declared', () => {
    expect(word(masks({ port: 0, deviceCapabilities: 0x1000_0020 }).writable, AT.express + 8)).toBe(0xf9ff)
  })
  test('slot registers are there with a slot', () => {
    const slot = masks({ port: 4 }, AT.express + 2, [0x42, 0x01])
    expect([word(slot.writable, AT.express + 0x18), word(slot.clearedByOne, AT.express + 0x1a)]).toEqual([
      0x1fff, 0x11f,
    ])
    expect(word(masks({ port: 4 }).writable, AT.express + 0x18)).toBe(0)
  })
  test('an integrated endpoint has no link', () => {
    expect(word(masks({ port: 9 }).writable, AT.express + 0x10)).toBe(0)
  })
  test('Device Status is cleared by writing 1', () => {
    expect(word(masks({ port: 0 }).clearedByOne, AT.express + 0xa)).toBe(0xf)
  })
})

const extended = (id: number, fill: (config: Uint8Array) => void = () => undefined): WriteMasks => {
  const { config } = model({ port: 0 })
  setDword(config, 0x100, 0x0001_0000 | id)
  fill(config)
  return writeMasks(config, [])
}

describe('extended capabilities', () => {
  test('error status is cleared by writing 1, masks and severities are written', () => {
    const { writable, clearedByOne } = extended(0x01)
    expect([dword(clearedByOne, 0x104), dword(writable, 0x108), dword(writable, 0x104)]).toEqual([
      0x07ff_f030, 0x07ff_f030, 0,
    ])
  })
  test('ACS egress control has a vector', () => {
    const { writable } = extended(0x0d, (config) => setWord(config, 0x104, 0x0820))
    expect([word(writable, 0x106), dword(writable, 0x108), dword(writable, 0x10c)]).toEqual([0x20, 0xffff_ffff, 0])
  })
  test('PASID enables follow what is supported', () => {
    expect(word(extended(0x1b, (config) => setWord(config, 0x104, 0x1404)).writable, 0x106)).toBe(0x5)
  })
  test('SR-IOV has its control and the number of VFs', () => {
    const { writable } = extended(0x10)
    expect([word(writable, 0x108), word(writable, 0x110), dword(writable, 0x124)]).toEqual([0x1f, 0xffff, 0])
  })
})
