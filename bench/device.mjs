/** Row 12: reads of config space through vfio-pci, and a device's whole way into an address space and out of it. */
import { Client, createHost, Processes } from '@ioasis/core'
import { dmaEngine } from '@ioasis/devices'
import { firmware } from '@ioasis/hosts'
import { intelIommu } from '@ioasis/iommu-intel'
import { IOMMU_IOAS_ALLOC, IOMMU_IOAS_MAP, iommufd, MAP_FLAG } from '@ioasis/iommufd'
import {
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_DEVICE_DETACH_IOMMUFD_PT,
  VFIO_DEVICE_GET_REGION_INFO,
} from '@ioasis/uapi'
import { vfio } from '@ioasis/vfio'
import { vfioPci } from '@ioasis/vfio-pci'
import { keep, measure } from './measure.mjs'
import { timeRow } from './table.mjs'

/** Areas that are mapped when the device attaches, a page each. */
const AREAS = 64
const PAGE = 4096n

function makeProgram() {
  const plugins = [dmaEngine({ at: '00:02.0' }), firmware(), intelIommu(), iommufd(), vfio()]
  const host = createHost({ machine: { ram: 2 ** 28 }, plugins: [...plugins, vfioPci({ bind: ['00:02.0'] })] })
  const vmm = new Client(host, host.get(Processes).spawn())
  const device = vmm.open('/dev/vfio/devices/vfio0')
  const iommu = vmm.open('/dev/iommu')
  vmm.ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, { iommufd: iommu })
  const { out_ioas_id: ioas_id } = vmm.ioctl(iommu, IOMMU_IOAS_ALLOC)
  return { vmm, device, iommu, ioas_id }
}

function configRow() {
  const { vmm, device } = makeProgram()
  const { offset } = vmm.ioctl(device, VFIO_DEVICE_GET_REGION_INFO, { index: 7 })
  const word = new Uint8Array(4)
  const plain = new Uint8Array(256)
  const subject = (n) => {
    for (let i = 0; i < n; i++) keep(vmm.pread(device, offset + BigInt((i & 15) << 2), word))
    return n
  }
  const baseline = (n) => {
    for (let i = 0; i < n; i++) {
      const at = (i & 15) << 2
      word.set(plain.subarray(at, at + 4))
    }
    return n
  }
  return timeRow('12', 'pread of 4 bytes of config space / of an array', measure({ subject, baseline }), 1000)
}

function attachRow() {
  const { vmm, device, iommu, ioas_id } = makeProgram()
  const user_va = vmm.mmap({ bytes: BigInt(AREAS) * PAGE })
  const flags = MAP_FLAG.FIXED_IOVA | MAP_FLAG.READABLE | MAP_FLAG.WRITEABLE
  for (let i = 0; i < AREAS; i++) {
    const at = BigInt(i) * PAGE
    const iova = 0x10_0000n + 2n * at
    vmm.ioctl(iommu, IOMMU_IOAS_MAP, { ioas_id, flags, user_va: user_va + at, length: PAGE, iova })
  }
  const subject = (n) => {
    for (let i = 0; i < n; i++) {
      vmm.ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, { pt_id: ioas_id })
      vmm.ioctl(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, {})
    }
    return n
  }
  const baseline = (n) => {
    for (let i = 0; i < n; i++) {
      const areas = new Map()
      for (let k = 0; k < AREAS; k++) areas.set(k, i)
      keep(areas.size)
    }
    return n
  }
  const what = `attach and detach of a device, ${AREAS} areas / a Map of as many filled`
  return timeRow('12', what, measure({ subject, baseline }), 100_000)
}

export const rows = () => [configRow(), attachRow()]
