/** KVM's side in scripts of POWER machines: a VM, its TCE tables, and its kvm-vfio device. */
import { hexText } from '../outcome.ts'
import type { RunPowerLine } from './power-line.ts'

const GROUP = 1
const ATTRIBUTES: Readonly<Record<string, number>> = { add: 1, del: 2, set_spapr_tce: 3 }
const KVM_DEV_TYPE_VFIO = 4

const createVm: RunPowerLine = (line) => {
  const type = line.number('type')
  line.in['type'] = Number(type)
  const { calls } = line.process
  const kvm = calls.open('/dev/kvm')
  try {
    line.names(line.process.ioctl(kvm, 'KVM_CREATE_VM', type))
  } finally {
    calls.close(kvm)
  }
}

const tce64: RunPowerLine = (line) => {
  const fd = line.fd()
  const bytes = new Uint8Array(32)
  const view = new DataView(bytes.buffer)
  const [liobn, offset, size] = [line.number('liobn'), line.number('offset', '0'), line.number('size')]
  const [shift, flags] = [line.count('shift'), line.count('flags', '0')]
  view.setBigUint64(0, BigInt.asUintN(64, liobn), true)
  view.setUint32(8, shift, true)
  view.setUint32(12, flags, true)
  view.setBigUint64(16, BigInt.asUintN(64, offset), true)
  view.setBigUint64(24, BigInt.asUintN(64, size), true)
  Object.assign(line.in, {
    liobn: hexText(liobn),
    page_shift: shift,
    flags,
    offset_pages: hexText(offset),
    size_pages: hexText(size),
  })
  line.names(line.process.ioctl(fd, 'KVM_CREATE_SPAPR_TCE_64', line.process.place(bytes, line.bad).arg))
  return 0
}

const vfioDevice: RunPowerLine = (line) => {
  const fd = line.fd()
  const bytes = new Uint8Array(12)
  new DataView(bytes.buffer).setUint32(0, KVM_DEV_TYPE_VFIO, true)
  const placed = line.process.place(bytes, false)
  const ret = line.process.ioctl(fd, 'KVM_CREATE_DEVICE', placed.arg)
  line.names(placed.read()?.getUint32(4, true) ?? -1)
  return ret
}

/** The struct lies behind its value: `ptr=bad` is about the value. */
const attribute: RunPowerLine = (line) => {
  const fd = line.fd()
  const name = line.text('attr')
  line.in['attr'] = name
  const bytes = new Uint8Array(64)
  const view = new DataView(bytes.buffer)
  view.setInt32(32, line.fd('group'), true)
  if (name === 'set_spapr_tce') view.setInt32(36, line.fd('table'), true)
  const at = line.process.place(bytes, false).arg
  view.setUint32(4, GROUP, true)
  view.setBigUint64(8, BigInt(ATTRIBUTES[name] ?? 0), true)
  view.setBigUint64(16, line.bad ? line.process.place(bytes, true).arg : at + 32n, true)
  return line.process.ioctl(fd, 'KVM_SET_DEVICE_ATTR', line.process.place(bytes, false).arg)
}

/** Operations on KVM. */
export const KVM_OPERATIONS: Readonly<Record<string, RunPowerLine>> = {
  kvm_create_vm: createVm,
  kvm_check: (line) => {
    const fd = line.fd()
    const capability = line.number('cap')
    line.in['cap'] = Number(capability)
    return line.process.ioctl(fd, 'KVM_CHECK_EXTENSION', capability)
  },
  kvm_tce64: tce64,
  kvm_vfio_dev: vfioDevice,
  kvm_vfio_attr: attribute,
}
