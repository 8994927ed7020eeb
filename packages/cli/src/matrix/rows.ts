/**
 * What each device of a machine can do to coherency, what its IOMMU blocks, and what comes of it for a guest. The last two are
 * not computed but asked: the device is given to a virtual machine, whose vCPU executes WBINVD.
 */
import {
  canNoSnoop,
  coherencyBox,
  type CoherencyBox,
  Drivers,
  findExtendedCapability,
  formatBdf,
  type Host,
  IommuGroups,
  narrowReport,
  Pci,
  type PciFunction,
  Tracer,
  UapiError,
} from '@ioasis/core'
import { functionText } from '../listing.ts'
import { deviceNode, GUEST_CODE, VirtualMachine } from '../virtual-machine.ts'

/** One device. */
export interface MatrixRow {
  readonly bdf: string
  readonly what: string
  /** undefined: no IOMMU has it. */
  readonly group: number | undefined
  /** `No Snoop`, `ATS`, `PRI`, `PASID`: what it can do, or could if it were switched on. */
  readonly abilities: readonly string[]
  /** Its IOMMU makes No Snoop harmless; undefined: it has none. */
  readonly blocks: boolean | undefined
  readonly box: CoherencyBox
  /** What KVM was told when the device was given to a virtual machine; else why it cannot be given. */
  readonly kvm: 'coherent' | 'noncoherent' | { readonly refused: string }
  /** What KVM would be told if the device's own abilities counted. */
  readonly narrow: 'coherent' | 'noncoherent'
  /** Whether the guest's WBINVD flushed the host's cache; undefined: the device cannot be given to a guest. */
  readonly wbinvd: boolean | undefined
}

/** PCI Express extended capabilities, by id. */
const EXTENDED = { ATS: 0x0f, PRI: 0x13, PASID: 0x1b } as const

/** Rows of all functions that are no bridges, in bus order. The host is as before afterwards. */
export function matrixRows(host: Host): readonly MatrixRow[] {
  return host
    .get(Pci)
    .functions.filter((fn) => !fn.bridge)
    .map((fn) => rowOf(host, fn))
}

function rowOf(host: Host, fn: PciFunction): MatrixRow {
  const groups = host.get(IommuGroups)
  const device = groups.deviceOf(fn)
  const { kvm, wbinvd } = givenToGuest(host, fn)
  return {
    bdf: formatBdf(fn.bdf),
    what: functionText(fn),
    group: groups.of(fn)?.id,
    abilities: [
      ...(canNoSnoop(fn) ? ['No Snoop'] : []),
      ...Object.entries(EXTENDED)
        .filter(([, id]) => findExtendedCapability(fn.config, id) !== 0)
        .map(([name]) => name),
    ],
    blocks: device?.caps.enforcesCoherency,
    box: coherencyBox(fn, device),
    kvm,
    narrow: narrowReport(fn, device),
    wbinvd,
  }
}

const DRIVER = 'vfio-pci'

/** Binds vfio-pci, gives the device file to a virtual machine, runs it, and puts everything back. */
function givenToGuest(host: Host, fn: PciFunction): Pick<MatrixRow, 'kvm' | 'wbinvd'> {
  const drivers = host.get(Drivers)
  const before = { driver: drivers.driverOf(fn)?.name, override: drivers.overrideOf(fn) }
  const vm = new VirtualMachine(host)
  try {
    if (before.driver !== undefined) drivers.unbind(before.driver, fn)
    drivers.setOverride(fn, DRIVER)
    drivers.bind(DRIVER, fn)
    return asked(host, vm, vm.vmm.open(deviceNode(host, fn)))
  } catch (error) {
    if (error instanceof UapiError) return { kvm: { refused: error.errno }, wbinvd: undefined }
    throw error
  } finally {
    vm.vmm.exit()
    if (drivers.driverOf(fn)?.name === DRIVER) drivers.unbind(DRIVER, fn)
    drivers.setOverride(fn, before.override)
    if (before.driver !== undefined) drivers.bind(before.driver, fn)
  }
}

function asked(host: Host, vm: VirtualMachine, device: number): Pick<MatrixRow, 'kvm' | 'wbinvd'> {
  let told: MatrixRow['kvm'] = 'coherent'
  let wbinvd = false
  const trace = host.get(Tracer)
  const stop = [
    trace.on('noncoherent', ({ registered }) => {
      if (registered) told = 'noncoherent'
    }),
    trace.on('guestWbinvd', ({ flushed }) => {
      wbinvd ||= flushed
    }),
  ]
  vm.give(device)
  vm.run(GUEST_CODE.wbinvd, GUEST_CODE.hlt)
  for (const end of stop) end()
  return { kvm: told, wbinvd }
}
