import { createHost, Sysfs } from '@ioasis/core'
import { expect, test } from 'vitest'
import { BASE, DIFFERENCES } from './machines/data.ts'
import { decodeMachine } from './machines/encoding.ts'
import { describeMachine } from './machine-file.ts'
import { recordedMemory, recordedPlugins } from './recorded-machine.ts'

interface RecordedDevice {
  readonly bdf: string
  readonly path: string
  readonly group: number
  readonly attrs: Readonly<Record<string, string>>
  readonly resource: readonly string[]
}

const ATTRIBUTES = [
  'vendor',
  'device',
  'class',
  'revision',
  'subsystem_vendor',
  'subsystem_device',
  'modalias',
  'dma_mask_bits',
]
/** What sysfs shows there comes from elsewhere: the boot VGA's ROM from a shadow at 0xc0000, the BARs of VFs from SR-IOV. */
const OTHER_RESOURCES = new Set(['0000:00:08.0', '0000:05:00.0'])

test('sysfs of a recorded machine reads as it was recorded', () => {
  const file = decodeMachine(BASE, DIFFERENCES['q35-intel-sc'] ?? [])
  const machine = describeMachine(file)
  using host = createHost({ plugins: recordedPlugins(machine), machine: recordedMemory(machine) })
  const sysfs = host.get(Sysfs)
  const devices = (file as unknown as { readonly devices: readonly RecordedDevice[] }).devices
  const shown = devices.map(({ bdf }) => {
    const at = `/sys/bus/pci/devices/${bdf}`
    return {
      bdf,
      path: sysfs.resolve(at),
      group: Number(sysfs.resolve(`${at}/iommu_group`).split('/').at(-1)),
      attrs: Object.fromEntries(ATTRIBUTES.map((name) => [name, sysfs.read(`${at}/${name}`).trim()])),
      resource: OTHER_RESOURCES.has(bdf) ? [] : sysfs.read(`${at}/resource`).trimEnd().split('\n'),
    }
  })
  const recorded = devices.map(({ bdf, path, group, attrs, resource }) => ({
    bdf,
    path,
    group,
    attrs: Object.fromEntries(ATTRIBUTES.map((name) => [name, attrs[name]])),
    resource: OTHER_RESOURCES.has(bdf) ? [] : resource,
  }))
  expect(shown).toEqual(recorded)
})
