import { expect, test } from 'vitest'
import { type Difference, decodeMachine, type EncodedMachine } from './encoding.ts'

const BASE: EncodedMachine = {
  machine: 'base',
  origin: 'a test',
  devices: {
    '0000:00:02.0': {
      driver: null,
      group: 1,
      path: '/b',
      attrs: { irq: '10' },
      files: ['config'],
      config: '0:8680 4:07 /16',
      resource: 'fe000000 fe000fff 200,',
    },
  },
  groups: { 1: { type: 'DMA', devices: ['0000:00:02.0'], reserved: [] } },
  iomem: [],
  acpi: {},
  iommuClass: [],
}
const DEVICE = ['devices', '0000:00:02.0']

test('puts back zeros, leading zeros and unused rows', () => {
  const [device] = decodeMachine(BASE, []).devices
  expect(device?.config).toBe('86800000070000000000000000000000')
  expect(device?.resource).toEqual([
    '0x00000000fe000000 0x00000000fe000fff 0x0000000000000200',
    '0x0000000000000000 0x0000000000000000 0x0000000000000000',
  ])
  expect(decodeMachine(BASE, []).groups).toEqual([{ id: 1, type: 'DMA', devices: ['0000:00:02.0'], reserved: [] }])
})

test('changes, adds and takes away what differs, and leaves the base alone', () => {
  const differences: Difference[] = [
    [['machine'], 'other'],
    [[...DEVICE, 'attrs', 'irq']],
    [[...DEVICE, 'group'], null],
    [['devices', '0000:00:01.0'], { ...BASE.devices['0000:00:02.0'], path: '/a' }],
  ]
  const other = decodeMachine(BASE, differences)
  expect(other.machine).toBe('other')
  expect(other.devices.map((d) => d.bdf)).toEqual(['0000:00:01.0', '0000:00:02.0'])
  expect(other.devices[1]).toMatchObject({ attrs: {}, group: null })
  expect(BASE.devices['0000:00:02.0']?.attrs).toEqual({ irq: '10' })
})
