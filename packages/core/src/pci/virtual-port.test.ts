import { expect, test } from 'vitest'
import { setDword, setWord } from './capability-chain.ts'
import { VirtualPort } from './virtual-port.ts'

const bar = { index: 2, size: 0x4000, space: 'memory', wide: true, prefetchable: true } as const

test('addresses follow one another from a 64-bit VF BAR; without one there are none', () => {
  const config = new Uint8Array(4096)
  const port = new VirtualPort(config, 0x100, [bar])
  expect([port.base(bar), port.address(bar, 3)]).toEqual([0, 0])
  setDword(config, 0x100 + 0x24 + 8, 0xe000_000c)
  setDword(config, 0x100 + 0x24 + 12, 1)
  expect(port.address(bar, 3)).toBe(0x1_e000_0000 + 3 * 0x4000)
})
test('as many answer as NumVFs says while VF Enable is set; memory needs its own bit', () => {
  const config = new Uint8Array(4096)
  const port = new VirtualPort(config, 0x100, [])
  setWord(config, 0x110, 5)
  expect([port.count, port.decodes]).toEqual([0, false])
  setWord(config, 0x108, 1)
  expect([port.count, port.enabled, port.decodes]).toEqual([5, true, false])
  setWord(config, 0x108, 9)
  expect(port.decodes).toBe(true)
})
