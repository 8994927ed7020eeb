/**
 * Chapter 4: the four boxes of the coherency contract, with bytes. A device writes over what a guest has in the CPU's cache; the
 * guest reads, executes WBINVD, reads again.
 */
import { blocksNoSnoop, Cpus, Drivers, type Host, IommuGroups, Pci, type PciFunction, Tracer } from '@ioasis/core'
import { edu, noSnoopEngine } from '@ioasis/devices'
import { intelHost } from '@ioasis/hosts'
import { DEFAULT_UNIT, qemuUnit } from '@ioasis/iommu-intel'
import { IOMMU_IOAS_ALLOC, IOMMU_IOAS_MAP, iommufd, MAP_FLAG } from '@ioasis/iommufd'
import { kvm } from '@ioasis/kvm'
import {
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_DEVICE_GET_REGION_INFO,
  VFIO_PCI_REGION,
} from '@ioasis/uapi'
import { vfio } from '@ioasis/vfio'
import { vfioPci } from '@ioasis/vfio-pci'
import { table, type Terminal } from '../terminal.ts'
import { deviceNode, GUEST_CODE, VirtualMachine } from '../virtual-machine.ts'

/** The device under test: edu has no No Snoop attribute, the engine has. */
const DEVICES = { edu: '00:01.0', engine: '00:02.0' } as const
/** Of the unit in front of it. */
const SNOOP_CONTROL = ['off', 'on'] as const

function machine(snoopControl: (typeof SNOOP_CONTROL)[number]): Host {
  const unit = { ...DEFAULT_UNIT, ...qemuUnit({ intremap: 'on', 'snoop-control': snoopControl }) }
  const devices = [edu({ at: DEVICES.edu }), noSnoopEngine({ at: DEVICES.engine })]
  const plugins = [...devices, iommufd(), vfio(), vfioPci(), kvm()]
  return intelHost({ machine: { cache: true }, iommu: { units: [unit] }, plugins })
}

/** Where things lie in guest memory, each in cache lines of its own; iovas are the same. */
const AT = { data: 0x800, before: 0x840, after: 0x880 } as const
const BYTES = 8
const COMMAND = 4
const BUS_MASTER = 4
const EXPRESS = 0x10
const DEVICE_CONTROL = 8
const ENABLE_NO_SNOOP = 0x800

interface Box {
  readonly device: string
  readonly iommu: string
  readonly kvm: string
  readonly before: string
  readonly after: string
}

/** Prints the boxes. */
export function showCoherency({ line, style }: Terminal): void {
  line(style.title('4  Four boxes: can the device skip the caches, can the IOMMU forbid it?'))
  line(
    `A guest has ${BYTES} bytes of 11 in the CPU's cache. Its device writes 22 over them, with the No Snoop attribute if it has`,
  )
  line('that: past the cache. The guest reads, executes WBINVD, and reads again.')
  line()
  const names = ['edu', 'engine'] as const
  const boxes = names.flatMap((name) => SNOOP_CONTROL.map((control) => box(control, name, true)))
  const untold = box('off', 'engine', false)
  const rows = [...boxes, untold].map((seen, i) => [
    i < boxes.length ? `${i + 1}` : '3',
    seen.device,
    seen.iommu,
    seen.kvm,
    seen.before,
    seen.after,
  ])
  const [head, ...body] = table([['box', 'device', 'IOMMU', 'KVM', 'the guest reads', 'and after WBINVD'], ...rows])
  line(`  ${style.key(head ?? '')}`)
  body.forEach((row, i) => {
    line(`  ${(rows[i]?.[5]?.includes('11') ? style.bad : style.good)(row)}`)
  })
  line()
  line(
    'Box 3 is why KVM is told: it lets WBINVD through to the host only while a device is registered as noncoherent. It asks',
  )
  line(
    'the IOMMU alone, so that box 1 pays as well. In box 4 each leaf has SNP set, and the unit overrides the attribute.',
  )
  line(style.dim('  "ioasis matrix MACHINE" puts every device of a machine into its box.'))
  line()
}

/** One guest with one device. @param told whether the device file is handed to KVM */
function box(control: (typeof SNOOP_CONTROL)[number], name: keyof typeof DEVICES, told: boolean): Box {
  using host = machine(control)
  const fn = host.get(Pci).get(DEVICES[name])
  const device = host.get(IommuGroups).deviceOf(fn)
  const registered = registrations(host)
  const vm = new VirtualMachine(host)
  assign(host, vm, fn, told)
  const { vmm, memory } = vm
  const at = (offset: number): bigint => memory + BigInt(offset)
  vmm.poke(at(AT.data), filled(0x11))
  host.get(Cpus)[0].wbinvd()
  vm.run(GUEST_CODE.copy(AT.data, AT.before, BYTES), GUEST_CODE.hlt)
  fn.dma.request.noSnoop = fn.noSnoopEnabled
  fn.dma.write(BigInt(AT.data), filled(0x22))
  vm.run(GUEST_CODE.copy(AT.data, AT.before, BYTES), GUEST_CODE.hlt)
  vm.run(GUEST_CODE.wbinvd, GUEST_CODE.copy(AT.data, AT.after, BYTES), GUEST_CODE.hlt)
  const read = (offset: number): string => bytesText(vmm.peek(at(offset), BYTES))
  return {
    device: `${name}, ${fn.noSnoopEnabled ? 'can' : 'cannot'}`,
    iommu: device && blocksNoSnoop(device) ? 'enforces' : 'cannot',
    kvm: told ? (registered() ? 'noncoherent' : 'coherent') : 'not told',
    before: read(AT.before),
    after: read(AT.after),
  }
}

const filled = (byte: number): Uint8Array => new Uint8Array(BYTES).fill(byte)
const bytesText = (bytes: Uint8Array): string => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join(' ')

/** @returns whether a VM has registered noncoherent DMA */
function registrations(host: Host): () => boolean {
  let last = false
  host.get(Tracer).on('noncoherent', ({ registered }) => (last = registered))
  return () => last
}

/** Binds vfio-pci, maps guest memory where the guest sees it, enables DMA and, if the function has it, No Snoop. */
function assign(host: Host, vm: VirtualMachine, fn: PciFunction, told: boolean): void {
  const { vmm } = vm
  host.get(Drivers).setOverride(fn, 'vfio-pci')
  host.get(Drivers).bind('vfio-pci', fn)
  const device = vmm.open(deviceNode(host, fn))
  const context = vmm.open('/dev/iommu')
  vmm.ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, { iommufd: context })
  const { out_ioas_id: ioas_id } = vmm.ioctl(context, IOMMU_IOAS_ALLOC)
  vmm.ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, { pt_id: ioas_id })
  const flags = MAP_FLAG.FIXED_IOVA | MAP_FLAG.WRITEABLE | MAP_FLAG.READABLE
  vmm.ioctl(context, IOMMU_IOAS_MAP, { flags, ioas_id, user_va: vm.memory, length: BigInt(vm.bytes), iova: 0n })
  if (told) vm.give(device)
  const { offset } = vmm.ioctl(device, VFIO_DEVICE_GET_REGION_INFO, { index: VFIO_PCI_REGION.CONFIG })
  const set = (at: number, bits: number): void => {
    const word = new Uint8Array(2)
    vmm.pread(device, offset + BigInt(at), word)
    const value = new DataView(word.buffer).getUint16(0, true) | bits
    vmm.pwrite(device, offset + BigInt(at), Uint8Array.of(value & 0xff, value >> 8))
  }
  set(COMMAND, BUS_MASTER)
  const express = fn.capability(EXPRESS)
  if (express !== 0) set(express + DEVICE_CONTROL, ENABLE_NO_SNOOP)
}
