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
  'ari_enabled',
]
/** There where the function has them. */
const OPTIONAL = ['reset_method', 'sriov_totalvfs', 'sriov_numvfs']
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
      attrs: Object.fromEntries([
        ...ATTRIBUTES.map((name) => [name, sysfs.read(`${at}/${name}`).trim()]),
        ...OPTIONAL.map((name) => [
          name,
          sysfs.exists(`${at}/${name}`) ? sysfs.read(`${at}/${name}`).trim() : undefined,
        ]),
      ]),
      resource: sysfs.read(`${at}/resource`).trimEnd().split('\n'),
    }
  })
  const recorded = devices.map(({ bdf, path, group, attrs, resource }) => ({
    bdf,
    path,
    group,
    attrs: Object.fromEntries([...ATTRIBUTES, ...OPTIONAL].map((name) => [name, attrs[name]])),
    resource,
  }))
  expect(shown).toEqual(recorded)
})
