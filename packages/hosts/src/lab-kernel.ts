/**
 * The recorded lab, whole: a lab machine that runs one of the kernels its answers were recorded on, with all files of device
 * assignment, the sample mediated device, and the drivers that had each function when a scenario began.
 */
import {
  type AnyIoctlCall,
  CompositionError,
  createHost,
  type Host,
  type Kernel,
  type MachineOptions,
  type Plugin,
} from '@ioasis/core'
import { mtty } from '@ioasis/devices'
import * as mockCalls from '@ioasis/iommu-mock'
import { iommuMock } from '@ioasis/iommu-mock'
import * as iommufdCalls from '@ioasis/iommufd'
import { iommufd } from '@ioasis/iommufd'
import * as kvmCalls from '@ioasis/kvm'
import { kvm } from '@ioasis/kvm'
import * as uapi from '@ioasis/uapi'
import { vfio } from '@ioasis/vfio'
import { vfioPci } from '@ioasis/vfio-pci'
import type { LabDevice, LabTraceMachine } from './lab-device.ts'
import { labMachine } from './lab.ts'
import type { MachineDescription } from './machine-description.ts'
import { plainDrivers } from './plain-drivers.ts'
import { POWER_MACHINES, powerTraceMachine } from './power-machines.ts'
import { memoryDevices } from './memory-devices.ts'
import { recordedMemory, type RecordedOptions, recordedPlugins } from './recorded-machine.ts'

/** What differs between the four kernels: their configuration options. */
const KERNELS: Readonly<Record<string, Partial<Kernel>>> = {
  debian: { iommufd: false, cdev: false, container: 'type1', noiommu: false, iommuDebugFiles: false },
  type1: { iommufd: true, cdev: true, container: 'type1' },
  compat: { iommufd: true, cdev: true, container: 'iommufd' },
  test: { iommufd: true, cdev: true, container: 'type1', test: true },
}
/** Names of the kernels. */
export const LAB_KERNELS: readonly string[] = Object.freeze(Object.keys(KERNELS))

const assigned = (bdf: string): LabDevice => ({ bdf: `0000:${bdf}`, driver: 'vfio-pci' })
/** By alias, in the order in which vfio-pci took them: that is the order of their device nodes. */
export const LAB_DEVICES: Readonly<Record<string, LabDevice>> = {
  edu: assigned('00:01.0'),
  mf0: assigned('00:02.0'),
  mf1: assigned('00:02.1'),
  nic: assigned('01:00.0'),
  mfp0: assigned('02:00.0'),
  mfp1: assigned('02:00.1'),
  bredu: assigned('04:01.0'),
  brpv: assigned('04:02.0'),
  brnic: assigned('04:03.0'),
  pf: assigned('05:00.0'),
  rng: assigned('06:00.0'),
  vga: assigned('00:08.0'),
  free: { bdf: '0000:00:09.0', driver: 'none' },
}

/** RAM of the lab machines: 1 GiB. What nobody touches costs nothing. */
const RAM = 2 ** 30

/** How a lab host differs from the recorded one. */
export interface LabOptions extends RecordedOptions {
  readonly plugins?: readonly Plugin[]
  readonly machine?: MachineOptions
  readonly kernel?: Partial<Kernel>
}

/**
 * A described machine with all of device assignment: a kernel, its files, the drivers that hold functions.
 * @param kernelName one of `LAB_KERNELS`
 * @throws CompositionError naming what cannot be composed
 */
export function kernelHost(
  description: MachineDescription,
  kernelName: string,
  { plugins = [], machine, kernel, ...recorded }: LabOptions = {},
): Host {
  const options = KERNELS[kernelName]
  if (!options) throw new CompositionError(`kernel "${kernelName}" is not known; there are ${LAB_KERNELS.join(', ')}`)
  return createHost({
    machine: { ram: RAM, scattered: true, ...recordedMemory(description), ...machine },
    kernel: { noiommu: description.iommu === undefined, ...options, ...kernel },
    plugins: [
      ...recordedPlugins(description, recorded),
      memoryDevices(),
      plainDrivers(),
      ...(options.iommufd === true ? [iommufd()] : []),
      ...(options.test === true ? [iommuMock()] : []),
      vfio(),
      vfioPci(),
      kvm(),
      mtty(),
      ...plugins,
    ],
  })
}

/**
 * A recorded machine with its kernel.
 * @param name `intel-sc.type1`: a lab machine and a kernel
 * @throws CompositionError for a name that is none, listing all
 */
export function labHost(name: string, options: LabOptions = {}): Host {
  const dot = name.lastIndexOf('.')
  if (dot < 0) throw new CompositionError(`"${name}" is no MACHINE.KERNEL with a kernel of ${LAB_KERNELS.join(', ')}`)
  const { description, identityDefault, addressWidth } = labMachine(name.slice(0, dot))
  return kernelHost(description, name.slice(dot + 1), {
    identityDefault,
    addressWidth,
    personality: 'qemu',
    ...options,
  })
}

const CALLS: readonly AnyIoctlCall[] = Object.values<unknown>({
  ...uapi,
  ...iommufdCalls,
  ...mockCalls,
  ...kvmCalls,
}).filter(isCall)

/** A recorded machine by the name its traces have: `intel-sc.type1`, `powernv10`. @throws CompositionError as `labHost` */
export const labTraceMachine = (name: string, options: LabOptions = {}): LabTraceMachine =>
  POWER_MACHINES.includes(name)
    ? powerTraceMachine(name, CALLS, options)
    : { host: labHost(name, options), devices: LAB_DEVICES, calls: CALLS }

/** What the uAPI packages export are calls, layouts and numbers. */
function isCall(value: unknown): value is AnyIoctlCall {
  return typeof value === 'object' && value !== null && 'number' in value && 'minimum' in value
}
