import { expect, test } from 'vitest'
import { dmaEngine } from './dma-engine.ts'
import { edu } from './edu.ts'
import { Rig } from './rig.test-kit.ts'

test('leaves BARs and COMMAND as firmware would, when told', () => {
  const rig = new Rig([dmaEngine({ at: '00:01.0', addresses: { 0: 0x80_0000_0000 }, command: 0x106 })])
  const fn = rig.fn('00:01.0')
  expect(fn.barAddress(0)).toBe(0x80_0000_0000)
  expect(fn.readConfig(4, 2)).toBe(0x106)
})

test('leaves a function silent when nothing is told', () => {
  const fn = new Rig([edu({ at: '00:01.0' })]).fn('00:01.0')
  expect(fn.barAddress(0)).toBeUndefined()
  expect(fn.readConfig(4, 2)).toBe(0)
})

test('refuses an address that the BAR cannot hold', () => {
  expect(() => new Rig([edu({ at: '00:01.0', addresses: { 0: 0xfe80_1000 } })])).toThrow(
    '0000:00:01.0: BAR 0 at 0xfe801000 is not aligned to its size',
  )
})

test('places functions on other segments', () => {
  expect(new Rig([edu({ at: '0001:00:01.0' })]).fn('0001:00:01.0').name).toBe('0001:00:01.0')
})
