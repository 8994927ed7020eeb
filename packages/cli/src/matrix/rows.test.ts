import { Drivers, Pci } from '@ioasis/core'
import { edu, noSnoopEngine } from '@ioasis/devices'
import { intelHost, labHost } from '@ioasis/hosts'
import { DEFAULT_UNIT, qemuUnit } from '@ioasis/iommu-intel'
import { iommufd } from '@ioasis/iommufd'
import { kvm } from '@ioasis/kvm'
import { vfio } from '@ioasis/vfio'
import { vfioPci } from '@ioasis/vfio-pci'
import { expect, test } from 'vitest'
import { type MatrixRow, matrixRows } from './rows.ts'
import { matrixSvg } from './svg.ts'

/** One function that cannot send No Snoop, one that can. */
const [EDU, ENGINE] = ['00:01.0', '00:02.0'] as const

function rows(snoopControl: 'on' | 'off'): readonly MatrixRow[] {
  const unit = { ...DEFAULT_UNIT, ...qemuUnit({ intremap: 'on', 'snoop-control': snoopControl }) }
  const plugins = [edu({ at: EDU }), noSnoopEngine({ at: ENGINE }), iommufd(), vfio(), vfioPci(), kvm()]
  using host = intelHost({ iommu: { units: [unit] }, plugins })
  return matrixRows(host)
}
const at = (all: readonly MatrixRow[], bdf: string): MatrixRow | undefined => all.find((row) => row.bdf === bdf)

test('with snoop control KVM is told that all is coherent, and a guest’s WBINVD stays in the guest', () => {
  const all = rows('on')
  expect(at(all, ENGINE)).toMatchObject({
    abilities: ['No Snoop'],
    blocks: true,
    box: 4,
    kvm: 'coherent',
  })
  expect(at(all, EDU)).toMatchObject({ abilities: [], box: 2, wbinvd: false, narrow: 'coherent' })
})

test('without it KVM is told the opposite, even of a device that cannot do No Snoop; the narrow policy asks the device', () => {
  const all = rows('off')
  expect(at(all, ENGINE)).toMatchObject({ box: 3, kvm: 'noncoherent', wbinvd: true, narrow: 'noncoherent' })
  expect(at(all, EDU)).toMatchObject({ box: 1, kvm: 'noncoherent', wbinvd: true, narrow: 'coherent' })
})

test('a device that cannot be assigned says why; drivers are as before', () => {
  using host = labHost('noiommu.type1')
  const all = matrixRows(host)
  const drivers = host.get(Pci).functions.map((fn) => host.get(Drivers).driverOf(fn)?.name)
  expect(at(all, '00:01.0')).toMatchObject({ group: undefined, blocks: undefined, wbinvd: undefined })
  expect(typeof at(all, '00:01.0')?.kvm).toBe('object')
  expect(new Set(drivers)).toEqual(new Set([undefined, 'pcieport', 'pvpanic-pci']))
})

test('the picture has each device in its box, and no bare angle brackets', () => {
  const row = at(rows('off'), ENGINE) as MatrixRow
  const svg = matrixSvg('a <b> & c', [row])
  expect(svg).toContain('a &lt;b&gt; &amp; c')
  expect(svg.match(/00:02\.0/g)?.length).toBe(1)
  expect(svg.startsWith('<svg ') && svg.endsWith('</svg>')).toBe(true)
})
