/** The recorded POWER machines, whole: QEMU's powernv10 and pseries with kernels of 4 and 64 KiB pages. */
import {
  type AnyIoctlCall,
  CompositionError,
  createHost,
  Drivers,
  type Host,
  type Kernel,
  type PciDriver,
  type Plugin,
} from '@ioasis/core'
import { powernvIommu, type PowernvOptions, pseriesIommu, type PseriesOptions } from '@ioasis/iommu-spapr'
import { kvm } from '@ioasis/kvm'
import { vfio } from '@ioasis/vfio'
import { vfioPci } from '@ioasis/vfio-pci'
import { firmware } from './firmware.ts'
import { HugePages, NR_HUGEPAGES } from './huge-pages.ts'
import type { LabDevice, LabTraceMachine } from './lab-device.ts'
import { memoryDevices } from './memory-devices.ts'
import { plainDrivers } from './plain-drivers.ts'
import {
  E1000E,
  POWERNV_FUNCTIONS,
  type PowerFunction,
  powerFunctions,
  PSERIES_FUNCTIONS,
  VIRTIO_PCI,
} from './power-topology.ts'
import type { PresetOptions } from './presets.ts'

/** RAM of the recorded machines. */
const RAM = 2 ** 31

/** A POWER kernel: no iommufd, no character devices for each device, SPAPR containers alone. */
export const POWER_KERNEL: Partial<Kernel> = { iommufd: false, cdev: false, container: 'spapr' }

/** Six bridges as POWER10 has them; the first and the fourth of a chip have 512 endpoints. */
const BRIDGES: PowernvOptions['bridges'] = [0, 1, 2, 3, 4, 5].map((segment) => ({
  segment,
  endpoints: segment % 3 === 0 ? 512 : 256,
}))
const PARTITION_BRIDGES: PseriesOptions['bridges'] = [0, 1, 2].map((segment) => ({ segment }))

/** What a POWER host is made of besides its IOMMU. */
const power = (
  iommu: Plugin,
  functions: readonly PowerFunction[],
  { plugins = [], machine, kernel }: PresetOptions,
): Host =>
  createHost({
    machine: { ram: RAM, ...machine },
    kernel: { ...POWER_KERNEL, ...kernel },
    plugins: [
      iommu,
      powerFunctions(functions),
      firmware(),
      memoryDevices(),
      plainDrivers(),
      hostDrivers([VIRTIO_PCI]),
      vfio(),
      vfioPci(),
      kvm({ power: true }),
      ...plugins,
    ],
  })

/** A POWER10 machine on whose hardware the kernel itself runs. */
export const powernvHost = ({ iommu, ...options }: PresetOptions & { iommu?: PowernvOptions } = {}): Host =>
  power(powernvIommu({ bridges: BRIDGES, ...iommu }), POWERNV_FUNCTIONS, options)

/** A partition under a hypervisor. */
export const pseriesHost = ({ iommu, ...options }: PresetOptions & { iommu?: PseriesOptions } = {}): Host =>
  power(pseriesIommu({ bridges: PARTITION_BRIDGES, ...iommu }), PSERIES_FUNCTIONS, options)

const hostDrivers = (drivers: readonly PciDriver[]): Plugin => ({
  name: 'host drivers',
  contract: 1,
  needs: [Drivers],
  setup: (host) => {
    for (const driver of drivers) host.get(Drivers).register(driver)
  },
})

interface PowerRow {
  readonly kind: 'powernv' | 'pseries'
  readonly pageSize: number
}
/** `pseries-hcall` is pseries with its firmware calls recorded. */
const ROWS: Readonly<Record<string, PowerRow>> = {
  powernv10: { kind: 'powernv', pageSize: 4096 },
  'powernv10-64k': { kind: 'powernv', pageSize: 65536 },
  pseries: { kind: 'pseries', pageSize: 4096 },
  'pseries-64k': { kind: 'pseries', pageSize: 65536 },
  'pseries-hcall': { kind: 'pseries', pageSize: 4096 },
}
/** Names of the recorded POWER machines. */
export const POWER_MACHINES: readonly string[] = Object.freeze(Object.keys(ROWS))

/**
 * A recorded POWER machine: QEMU's bridges and hypervisor.
 * @throws CompositionError for a name that is none, listing all
 */
export function powerHost(name: string, options: PresetOptions = {}): Host {
  const row = Object.hasOwn(ROWS, name) ? ROWS[name] : undefined
  if (!row) throw new CompositionError(`machine "${name}" is not known; there are ${POWER_MACHINES.join(', ')}`)
  const kernel = { pageSize: row.pageSize, ...options.kernel }
  if (row.kind === 'pseries') return pseriesHost({ ...options, kernel })
  return powernvHost({ ...options, kernel, iommu: { personality: 'qemu' } })
}

const assigned = (bdf: string): LabDevice => ({ bdf, driver: 'vfio-pci' })
/** Functions that scenarios name, in the order in which vfio-pci took them. */
const DEVICES: Readonly<Record<PowerRow['kind'], Readonly<Record<string, LabDevice>>>> = {
  powernv: {
    edu: assigned('0001:01:00.0'),
    nic: assigned('0000:01:00.0'),
    pairA: assigned('0002:02:01.0'),
    pairB: assigned('0002:02:02.0'),
  },
  pseries: {
    edu: assigned('0000:00:01.0'),
    nic: assigned('0001:00:01.0'),
    pairA: assigned('0002:01:01.0'),
    pairB: assigned('0002:01:02.0'),
  },
}
/** Bytes. */
const HUGE_PAGE = 2 ** 21
/** Kernel modules that scenarios load, by path: what loading them does. */
const modulesOf = (host: Host): ReadonlyMap<string, () => void> =>
  new Map([
    ['/mod/e1000e.ko', () => host.get(Drivers).register(E1000E)],
    ['/mod/kvm.ko', () => undefined],
    ['/mod/kvm-hv.ko', () => undefined],
  ])

/** A POWER host as the player of traces wants it. */
export function powerTraceMachine(
  name: string,
  calls: readonly AnyIoctlCall[],
  options: PresetOptions = {},
): LabTraceMachine {
  const host = powerHost(name, options)
  const { kind } = ROWS[name] as PowerRow
  const machine = { host, devices: DEVICES[kind], calls, modules: modulesOf(host) }
  // The recorded kernel on QEMU's hardware had no huge pages to give.
  if (kind === 'powernv') return machine
  const hugePages = new HugePages(HUGE_PAGE, RAM)
  return { ...machine, hugePages, settable: new Map([[NR_HUGEPAGES, (text: string) => hugePages.setAside(text)]]) }
}
