import { describe, expect, test } from 'vitest'
import { BASE, DIFFERENCES } from './machines/data.ts'
import { decodeMachine } from './machines/encoding.ts'
import { describeMachine, type MachineFile, parseMachineFile } from './machine-file.ts'

const file = (name = 'q35-intel-sc'): MachineFile => decodeMachine(BASE, DIFFERENCES[name] ?? [])

/** The recorded machine with one device changed. */
function changed(bdf: string, change: (device: Record<string, unknown>) => void): unknown {
  const machine = JSON.parse(JSON.stringify(file())) as { devices: Record<string, unknown>[] }
  change(machine.devices.find((d) => d['bdf'] === bdf) as Record<string, unknown>)
  return machine
}
const put = (text: unknown, offset: number, digits: string): string => {
  const hex = text as string
  return hex.slice(0, 2 * offset) + digits + hex.slice(2 * offset + digits.length)
}

test('describes functions, BARs, memory, the IOMMU and the groups', () => {
  const machine = parseMachineFile(JSON.stringify(file()), 'q35-intel-sc.json')
  expect(machine.functions.length).toBe(23)
  const nic = machine.functions.find((f) => f.bdf === 0x100)
  expect(nic?.config.length).toBe(4096)
  expect(nic?.bars.map((b) => [b.index, b.size, b.space])).toEqual([
    [0, 0x20000, 'memory'],
    [1, 0x20000, 'memory'],
    [2, 0x20, 'io'],
    [3, 0x4000, 'memory'],
    [6, 0x40000, 'rom'],
  ])
  expect(machine.ram).toEqual([
    { first: 0x1000, bytes: 0x9e000 },
    { first: 0x10_0000, bytes: 0x3fed_8000 },
  ])
  expect(machine.iommu).toEqual({ kind: 'intel', registers: 0xfed9_0000, cap: 0x80d2008c222f0606n, ecap: 0xf00fcan })
  expect(machine.groups?.[13]?.members).toEqual(['0000:03:00.0', '0000:04:01.0', '0000:04:02.0', '0000:04:03.0'])
  expect(machine.functions.find((f) => f.bdf === 0x500)?.vfBars.map((b) => [b.index, b.size])).toEqual([
    [0, 0x4000],
    [3, 0x4000],
  ])
})

test('reads the other vendor’s registers and their absence', () => {
  expect(describeMachine(file('q35-amd-xt')).iommu).toEqual({ kind: 'amd', features: 0x29d7n })
  expect(describeMachine(file('q35-noiommu')).iommu).toBeUndefined()
})

describe('refuses with one line that names file, device, value and rule:', () => {
  test('text that is not JSON', () => {
    expect(() => parseMachineFile('{\n "machine": "x",\n}', 'a.json')).toThrow(/^a\.json:3:1: not JSON$/)
  })
  test('a missing field', () => {
    const machine = changed('0000:01:00.0', (d) => delete d['config'])
    expect(() => describeMachine(machine, 'a.json')).toThrow(/^a\.json: 0000:01:00\.0: "config" is missing$/)
    expect(() => describeMachine({ machine: 'x' }, 'a.json')).toThrow('a.json: "devices" is missing')
    expect(() => describeMachine([], 'a.json')).toThrow('a.json: [] is not an object')
  })
  test('a configuration space of the wrong length', () => {
    const machine = changed('0000:01:00.0', (d) => (d['config'] = '8680'))
    expect(() => describeMachine(machine, 'a.json')).toThrow(
      /^a\.json: 0000:01:00\.0: "config" is "4 digits"; 512 or 8192 digits \(256 or 4096 bytes\) are needed$/,
    )
  })
  test('a configuration space with other characters', () => {
    const machine = changed('0000:01:00.0', (d) => (d['config'] = put(d['config'], 0, 'xy')))
    expect(() => describeMachine(machine, 'a.json')).toThrow('hexadecimal digits in pairs are needed')
  })
  test('a place described twice', () => {
    const machine = changed('0000:00:09.0', (d) => (d['bdf'] = '0000:00:08.0'))
    expect(() => describeMachine(machine, 'a.json')).toThrow(/^a\.json: 0000:00:08\.0: described twice$/)
  })
  test('a place that is none', () => {
    const machine = changed('0000:00:09.0', (d) => (d['bdf'] = '00:9'))
    expect(() => describeMachine(machine, 'a.json')).toThrow(
      'a.json: 00:9: "bdf" is "00:9"; a place such as 0000:01:00.0 is needed',
    )
  })
  test('BARs that overlap', () => {
    const machine = changed('0000:00:02.1', (d) => (d['config'] = put(d['config'], 0x10, '000080fe')))
    expect(() => describeMachine(machine, 'a.json')).toThrow(
      /^a\.json: 0000:00:02\.1: BAR 0 at 0xfe800000 overlaps BAR 0 of 0000:00:01\.0 at 0xfe800000-0xfe8fffff$/,
    )
  })
  test('a parent bridge that is not there', () => {
    const machine = changed('0000:01:00.0', (d) => (d['path'] = '/sys/devices/pci0000:00/0000:00:1c.0/0000:01:00.0'))
    expect(() => describeMachine(machine, 'a.json')).toThrow(
      /^a\.json: 0000:01:00\.0: its parent bridge 0000:00:1c\.0 is not described$/,
    )
  })
  test('a bus that no bridge leads to', () => {
    const machine = changed('0000:03:00.0', (d) => (d['config'] = put(d['config'], 0x19, '00')))
    expect(() => describeMachine(machine, 'a.json')).toThrow(
      'a.json: 0000:04:01.0: no bridge has bus 0x4 as its secondary bus',
    )
  })
  test('a resource row that is none', () => {
    const machine = changed('0000:01:00.0', (d) => (d['resource'] = ['0x0']))
    expect(() => describeMachine(machine, 'a.json')).toThrow('a.json: 0000:01:00.0: resource row 0: "0x0" is not')
  })
  test('a group of devices that are not there', () => {
    const machine = { ...file(), groups: [{ id: 0, type: 'DMA', devices: ['0000:09:00.0'], reserved: [] }] }
    expect(() => describeMachine(machine, 'a.json')).toThrow(
      'a.json: groups[0]: "devices" is "0000:09:00.0"; a described device is needed',
    )
  })
})
