/** `opendev`: opens a device and attaches it to a fresh address space, the way the recorded harness does. */
import { UapiError } from '@ioasis/core'
import { openPath } from './file-operations.ts'
import { loadInteger, storeInteger } from './payload.ts'
import type { TraceProcess } from './trace-process.ts'

const TYPE1v2 = 3n
const NOIOMMU = 8n

/**
 * @param via `cdev`: bound to an iommufd of its own; `group`: through a container
 * @returns the device's descriptor
 * @throws UapiError what refused it; everything is closed again
 */
export function openDevice(process: TraceProcess, alias: string, via: 'cdev' | 'group'): number {
  const opened: number[] = []
  const open = (path: string): number => {
    const fd = openPath(process, path, 'rw')
    opened.push(fd)
    return fd
  }
  try {
    return via === 'cdev' ? throughCdev(process, open, alias) : throughGroup(process, open, alias)
  } catch (error) {
    if (error instanceof UapiError) for (const fd of opened.toReversed()) process.calls.close(fd)
    throw error
  }
}

function throughCdev(process: TraceProcess, open: (path: string) => number, alias: string): number {
  const iommufd = open('/dev/iommu')
  const device = open(`cdev:${alias}`)
  structCall(process, device, 'VFIO_DEVICE_BIND_IOMMUFD', { iommufd: BigInt(iommufd) })
  const ioas = structCall(process, iommufd, 'IOMMU_IOAS_ALLOC', {})('out_ioas_id')
  structCall(process, device, 'VFIO_DEVICE_ATTACH_IOMMUFD_PT', { pt_id: ioas })
  return device
}

function throughGroup(process: TraceProcess, open: (path: string) => number, alias: string): number {
  const group = open(`group:${alias}`)
  const container = open('/dev/vfio/vfio')
  const fd = new Uint8Array(4)
  storeInteger(fd, 0, 4, BigInt(container))
  const { calls, scratch } = process
  const number = (name: string): number => process.callNamed(name).number
  calls.ioctl(group, number('VFIO_GROUP_SET_CONTAINER'), scratch.place(fd, undefined, 4).arg)
  const noIommu = process.world.paths.resolve(`group:${alias}`)?.includes('noiommu-') ?? false
  calls.ioctl(container, number('VFIO_SET_IOMMU'), noIommu ? NOIOMMU : TYPE1v2)
  const name = Uint8Array.from(`${process.world.paths.bdf(alias)}\0`, (c) => c.charCodeAt(0))
  return calls.ioctl(group, number('VFIO_GROUP_GET_DEVICE_FD'), scratch.place(name, undefined, name.length).arg)
}

/** A call with a struct of a few members. @returns reads a member of what came back @throws UapiError what refuses it */
export function structCall(
  process: TraceProcess,
  fd: number,
  name: string,
  values: Readonly<Record<string, bigint>>,
): (member: string) => bigint {
  const { number, struct } = process.callNamed(name)
  if (!struct) throw new Error(`${name} has no struct`)
  const bytes = new Uint8Array(struct.size)
  const field = (member: string): { readonly offset: number; readonly size: number } => {
    const found = struct.fields.find((f) => f.name === member)
    if (!found) throw new Error(`${name} has no member ${member}`)
    return found
  }
  const first = struct.fields[0]?.name
  if (first === 'size' || first === 'argsz') storeInteger(bytes, 0, 4, BigInt(struct.size))
  for (const [member, value] of Object.entries(values)) {
    const { offset, size } = field(member)
    storeInteger(bytes, offset, size, value)
  }
  const placed = process.scratch.place(bytes, undefined, bytes.length)
  process.calls.ioctl(fd, number, placed.arg)
  const after = placed.read() ?? bytes
  return (member) => loadInteger(after, field(member).offset, field(member).size)
}
