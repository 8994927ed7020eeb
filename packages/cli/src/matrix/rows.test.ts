import { kernelHost, labMachine } from '@ioasis/hosts'
import { Drivers, Pci } from '@ioasis/core'
import { expect, test } from 'vitest'
import { type MatrixRow, matrixRows } from './rows.ts'
import { matrixSvg } from './svg.ts'

function rows(machine: string): {
  readonly rows: readonly MatrixRow[]
  readonly drivers: readonly (string | undefined)[]
} {
  const host = kernelHost(labMachine(machine).description, 'type1', { personality: 'qemu' })
  try {
    const found = matrixRows(host)
    return { rows: found, drivers: host.get(Pci).functions.map((fn) => host.get(Drivers).driverOf(fn)?.name) }
  } finally {
    host.close()
  }
}
const at = (all: readonly MatrixRow[], bdf: string): MatrixRow | undefined => all.find((row) => row.bdf === bdf)

test('with snoop control KVM is told that all is coherent, and a guest’s WBINVD stays in the guest', () => {
  const { rows: all } = rows('intel-sc')
  expect(at(all, '01:00.0')).toMatchObject({
    group: 11,
    abilities: ['No Snoop'],
    blocks: true,
    box: 4,
    kvm: 'coherent',
  })
  expect(at(all, '00:01.0')).toMatchObject({ abilities: [], box: 2, wbinvd: false, narrow: 'coherent' })
})

test('without it KVM is told the opposite, even of a device that cannot do No Snoop; the narrow policy asks the device', () => {
  const { rows: all } = rows('intel')
  expect(at(all, '01:00.0')).toMatchObject({ box: 3, kvm: 'noncoherent', wbinvd: true, narrow: 'noncoherent' })
  expect(at(all, '00:01.0')).toMatchObject({ box: 1, kvm: 'noncoherent', wbinvd: true, narrow: 'coherent' })
})

test('a device that cannot be assigned says why; drivers are as before', () => {
  const { rows: all, drivers } = rows('noiommu')
  expect(at(all, '00:01.0')).toMatchObject({ group: undefined, blocks: undefined, wbinvd: undefined })
  expect(typeof at(all, '00:01.0')?.kvm).toBe('object')
  expect(new Set(drivers)).toEqual(new Set([undefined, 'pcieport', 'pvpanic-pci']))
})

test('the picture has each device in its box, and no bare angle brackets', () => {
  const row = rows('intel').rows.find((r) => r.bdf === '01:00.0') as MatrixRow
  const svg = matrixSvg('a <b> & c', [row])
  expect(svg).toContain('a &lt;b&gt; &amp; c')
  expect(svg.match(/01:00\.0/g)?.length).toBe(1)
  expect(svg.startsWith('<svg ') && svg.endsWith('</svg>')).toBe(true)
})
