import { expect, test } from 'vitest'
import { Pci } from '@ioasis/core'
import { express, msix } from './capabilities.ts'
import { buildConfig } from './config-builder.ts'
import { barsOfResource, RecordedFunction } from './recorded-function.ts'
import { Rig } from './rig.test-kit.ts'
import { placed } from './placed.ts'

const ROWS = [
  '0x00000000fe600000 0x00000000fe63ffff 0x0000000000040200',
  '0x0000000000000000 0x0000000000000000 0x0000000000000000',
  '0x0000000000004000 0x000000000000401f 0x0000000000040101',
  '0x00000000fe680000 0x00000000fe683fff 0x0000000000140204',
  '0x0000000000000000 0x0000000000000000 0x0000000000000000',
  '0x0000000000000000 0x0000000000000000 0x0000000000000000',
  '0x00000000fe640000 0x00000000fe65ffff 0x0000000000046200',
]

test('reads BARs from the rows of sysfs', () => {
  expect(barsOfResource(ROWS)).toEqual([
    { index: 0, size: 0x40000, space: 'memory', wide: false, prefetchable: false },
    { index: 2, size: 0x20, space: 'io', wide: false, prefetchable: false },
    { index: 3, size: 0x4000, space: 'memory', wide: true, prefetchable: false },
    { index: 6, size: 0x20000, space: 'rom', wide: false, prefetchable: true },
  ])
})

test('refuses a row that is none and a size that no BAR has', () => {
  expect(() => barsOfResource(['nothing'])).toThrow('resource row 0: "nothing" is not "start end flags"')
  expect(() => barsOfResource(['0x0 0x2fff 0x200'])).toThrow(
    'resource row 0: a BAR of 0x3000 bytes; a power of two is needed',
  )
})

const recorded = (): RecordedFunction =>
  new RecordedFunction({
    name: '8086:10d3',
    config: buildConfig({
      vendor: 0x8086,
      device: 0x10d3,
      classCode: 0x020000,
      capabilities: [
        express(),
        msix({ vectors: 2, table: { bar: 3, offset: 0 }, pending: { bar: 3, offset: 0x2000 } }),
      ],
    }),
    bars: barsOfResource(ROWS),
    registers: [{ bar: 0, offset: 8, bytes: Uint8Array.of(0x83, 0x02, 0x08, 0) }],
  })

test('shows its configuration space, sizes its BARs, and answers known registers', () => {
  const rig = new Rig([placed('nic', { at: '00:03.0', addresses: { 0: 0xfe60_0000, 3: 0xfe68_0000 } }, [], recorded)])
  const fn = rig.enable('00:03.0')
  expect(fn.readConfig(0, 4)).toBe(0x10d3_8086)
  expect(rig.load('00:03.0', 8)).toBe(0x80283n)
  expect(rig.load('00:03.0', 0x100, 8)).toBe(0n)
  rig.store('00:03.0', 8, 0)
  expect(rig.load('00:03.0', 8)).toBe(0x80283n)
  fn.writeConfig(4, 2, 0)
  fn.writeConfig(0x10, 4, 0xffff_ffff)
  expect(fn.readConfig(0x10, 4)).toBe(0xfffc_0000)
})

test('gives the low bytes of a whole register to a narrower load, wherever in it that begins', () => {
  const model = new RecordedFunction({
    name: 'whole',
    config: buildConfig({ vendor: 1, device: 2, classCode: 0 }),
    bars: barsOfResource(ROWS),
    registers: [
      { bar: 0, offset: 8, bytes: Uint8Array.of(0x83, 0x02, 0x08, 0), whole: true },
      { bar: 0, offset: 0x20, bytes: Uint8Array.of(1, 2, 3, 4) },
    ],
  })
  const window = model.bars.find((bar) => bar.index === 0)?.window
  expect(window?.load(9, 1)).toBe(0x83n)
  expect(window?.load(10, 2)).toBe(0x283n)
  expect(window?.load(12, 1)).toBe(0n)
  expect(window?.load(8, 8)).toBe(0x80283n)
  expect(window?.load(0x21, 1)).toBe(2n)
})

test('lets software write the bits it is given, else the usual ones', () => {
  const config = buildConfig({ vendor: 1, device: 2, classCode: 0 })
  const writable = new Uint8Array(256).fill(0xff, 0x40)
  const place = (at: string, more: object) =>
    placed(at, { at }, [], () => new RecordedFunction({ name: at, config, bars: [], ...more }))
  const rig = new Rig([place('00:03.0', { writable }), place('00:04.0', {})])
  for (const at of ['00:03.0', '00:04.0']) rig.fn(at).writeConfig(0x40, 4, 0x1234_5678)
  expect(rig.fn('00:03.0').readConfig(0x40, 4)).toBe(0x1234_5678)
  expect(rig.fn('00:04.0').readConfig(0x40, 4)).toBe(0)
})

test('leaves the MSI-X table to the bus: entries keep what is written', () => {
  const rig = new Rig([placed('nic', { at: '00:03.0', addresses: { 3: 0xfe68_0000 } }, [], recorded)])
  rig.enable('00:03.0')
  expect(rig.load('00:03.0', 12, 4, 3)).toBe(1n)
  rig.store('00:03.0', 0, 0xfee0_0000, 4, 3)
  expect(rig.load('00:03.0', 0, 4, 3)).toBe(0xfee0_0000n)
})

test('refuses a configuration space of another size', () => {
  expect(() => new RecordedFunction({ name: 'x', config: new Uint8Array(100), bars: [] })).toThrow(
    'x: a configuration space of 100 bytes',
  )
  expect(new Rig([]).host.get(Pci).functions).toEqual([])
})
