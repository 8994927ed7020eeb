/**
 * What each device of a machine can do to coherency, what its IOMMU blocks, and what comes of it for a guest. The last two are
 * not computed but asked: the device is given to a virtual machine, whose vCPU executes WBINVD.
 */
import {
  canNoSnoop,
  Client,
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
  Processes,
  Sysfs,
  Tracer,
  UapiError,
} from '@ioasis/core'
import {
  KVM_CREATE_DEVICE,
  KVM_CREATE_VCPU,
  KVM_CREATE_VM,
  KVM_DEV_TYPE_VFIO,
  KVM_DEV_VFIO_FILE,
  KVM_DEV_VFIO_FILE_ADD,
  KVM_GET_SREGS,
  KVM_RUN,
  KVM_SET_DEVICE_ATTR,
  KVM_SET_REGS,
  KVM_SET_SREGS,
  KVM_SET_USER_MEMORY_REGION,
} from '@ioasis/kvm'
import { functionText } from '../listing.ts'

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

/** wbinvd; hlt */
const PROGRAM = Uint8Array.of(0x0f, 0x09, 0xf4)
const CODE = 0x1000n
const PAGE = 4096
const DRIVER = 'vfio-pci'

/** Binds vfio-pci, gives the device file to a virtual machine, runs it, and puts everything back. */
function givenToGuest(host: Host, fn: PciFunction): Pick<MatrixRow, 'kvm' | 'wbinvd'> {
  const drivers = host.get(Drivers)
  const before = { driver: drivers.driverOf(fn)?.name, override: drivers.overrideOf(fn) }
  const vmm = new Client(host, host.get(Processes).spawn({ name: 'vmm' }))
  try {
    if (before.driver !== undefined) drivers.unbind(before.driver, fn)
    drivers.setOverride(fn, DRIVER)
    drivers.bind(DRIVER, fn)
    return asked(host, vmm, deviceNode(host, fn))
  } catch (error) {
    if (error instanceof UapiError) return { kvm: { refused: error.errno }, wbinvd: undefined }
    throw error
  } finally {
    vmm.exit()
    if (drivers.driverOf(fn)?.name === DRIVER) drivers.unbind(DRIVER, fn)
    drivers.setOverride(fn, before.override)
    if (before.driver !== undefined) drivers.bind(before.driver, fn)
  }
}

/** /dev/vfio/devices/vfioN. @throws UapiError ENOENT */
function deviceNode(host: Host, fn: PciFunction): string {
  const directory = `/sys/bus/pci/devices/${fn.name}/vfio-dev`
  const [name] = host.get(Sysfs).list(directory)
  return `/dev/vfio/devices/${name ?? ''}`
}

function asked(host: Host, vmm: Client, node: string): Pick<MatrixRow, 'kvm' | 'wbinvd'> {
  const device = vmm.open(node)
  const vm = vmm.ioctl(vmm.open('/dev/kvm'), KVM_CREATE_VM)
  const { fd } = vmm.ioctl(vm, KVM_CREATE_DEVICE, { type: KVM_DEV_TYPE_VFIO })
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
  const addr = vmm.put(Uint8Array.of(device, 0, 0, 0))
  vmm.ioctl(fd, KVM_SET_DEVICE_ATTR, { group: KVM_DEV_VFIO_FILE, attr: KVM_DEV_VFIO_FILE_ADD, addr })
  runGuest(vmm, vm)
  for (const end of stop) end()
  return { kvm: told, wbinvd }
}

/** One page of memory, one vCPU in real mode at its first byte. */
function runGuest(vmm: Client, vm: number): void {
  const memory = vmm.mmap({ bytes: PAGE, shared: true })
  vmm.poke(memory, PROGRAM)
  const place = { guest_phys_addr: CODE, memory_size: BigInt(PAGE), userspace_addr: memory }
  vmm.ioctl(vm, KVM_SET_USER_MEMORY_REGION, place)
  const vcpu = vmm.ioctl(vm, KVM_CREATE_VCPU)
  const { cs, ds, cr0 } = vmm.ioctl(vcpu, KVM_GET_SREGS, {})
  vmm.ioctl(vcpu, KVM_SET_SREGS, { cs: { ...cs, base: 0n, selector: 0 }, ds, cr0 })
  vmm.ioctl(vcpu, KVM_SET_REGS, { rip: CODE, rflags: 2n })
  vmm.ioctl(vcpu, KVM_RUN)
}
