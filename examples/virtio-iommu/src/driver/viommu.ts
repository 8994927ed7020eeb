/** One device as its driver has it. Facts: drivers/iommu/virtio-iommu.c viommu_probe, __viommu_add_req, __viommu_sync_req. */
import * as io from '@ioasis/core'
import { DEVICE, FAULT, FEATURES, FLAG, PROBE, PROPERTY, REGISTERS as AT, RESV_MEM } from '../spec/virtio-iommu.ts'
import { STATUS, TAIL_BYTES, TYPE } from '../spec/virtio-iommu.ts'
import { driverQueue, SLOTS } from './virtqueue.ts'

type Firmware = Pick<io.IommuUnit, 'name' | 'covers'> & { readonly registers: io.MappedRegisters }
/** By status, viommu_get_req_errno. */
const ERRNO: readonly io.Errno[] = ['EIO', 'EIO', 'ENOSYS', 'EIO', 'EINVAL', 'ERANGE', 'ENOENT', 'EFAULT', 'ENOMEM']
/** Where messages are mapped for a device that names no window: MSI_IOVA_BASE. */
const MSI = { first: 0x800_0000n, last: 0x80f_ffffn, type: 'software-msi', read: false, write: true } as const
/** Looks at a device that gives nothing back. */
const PATIENCE = 1000
/** One device. */
export type Viommu = ReturnType<typeof startViommu>

/** Switches a device on, which must have all of `FEATURES`. @throws UapiError ENODEV, ENOMEM */
export function startViommu({ name, covers, registers }: Firmware, cpu: io.Cpu, pages: io.PageAllocator) {
  const features = registers.read64(AT.DEVICE_FEATURES.offset) & FEATURES
  const on = DEVICE.ACKNOWLEDGE | DEVICE.DRIVER | DEVICE.FEATURES_OK
  registers.write(AT.STATUS.offset, 0)
  registers.write64(AT.DRIVER_FEATURES.offset, features)
  registers.write(AT.STATUS.offset, on)
  if (features !== FEATURES || registers.read(AT.STATUS.offset) !== on) throw new io.UapiError('ENODEV', 'viommu_probe')
  const requests = driverQueue('REQUEST', registers, cpu, pages)
  const events = driverQueue('EVENT', registers, cpu, pages)
  registers.write(AT.STATUS.offset, on | DEVICE.DRIVER_OK)
  for (let slot = 0; slot < SLOTS; slot++) events.offer(slot, FAULT.size)
  // Linux leaves it as firmware does; here a function that is attached to nothing reaches nothing.
  registers.write(AT.BYPASS.offset, 0)
  const pending: Uint8Array[] = []

  /** Queues a request, told in `sync`, or when the queue is full. @returns `room` bytes and the tail, there after `sync` */
  const add = (request: Uint8Array, room = 0): Uint8Array => {
    if (pending.length === SLOTS) sync()
    requests.offer(pending.length, room + TAIL_BYTES, request.subarray(0, -TAIL_BYTES))
    const answer = new Uint8Array(room + TAIL_BYTES).fill(STATUS.IOERR)
    pending.push(answer)
    return answer
  }
  /** Tells the device of all requests, and waits; time passes as registers are read. @throws UapiError as it refuses one */
  const sync = (): void => {
    if (pending.length > 0) registers.write(AT.QUEUE_NOTIFY.offset, 0)
    for (let left = pending.length, looks = 0; left > 0; looks++) {
      if (looks > PATIENCE) throw new Error(`${name} does not answer`)
      registers.read(AT.STATUS.offset)
      const back = requests.next()
      if (back) pending[back.slot]?.set(back.answer)
      if (back) left--
    }
    const refused = pending.splice(0).find((answer) => answer.at(-TAIL_BYTES) !== STATUS.OK)
    const status = refused?.at(-TAIL_BYTES)
    if (status !== undefined) throw new io.UapiError(ERRNO[status] ?? 'EIO', 'viommu_sync_req', { status })
  }
  /** Regions of a function, viommu_probe_endpoint. @throws UapiError as the device refuses */
  const reserved = (endpoint: io.Bdf): readonly io.ReservedRegion[] => {
    const regions: io.ReservedRegion[] = []
    const answer = add(PROBE.make({ type: TYPE.PROBE, endpoint }), registers.read(AT.PROBE_SIZE.offset))
    sync()
    for (let properties = answer.subarray(0, -TAIL_BYTES); properties.length > 0;) {
      const { type, length, subtype, first, last } = RESV_MEM.decode(properties)
      if (type === 0) break
      const message = subtype === PROPERTY.MSI
      const region = { first, last, type: message ? 'msi' : 'reserved', read: false, write: message } as const
      if (type === PROPERTY.RESV_MEM) regions.push(region)
      properties = properties.subarray(PROPERTY.HEAD_BYTES + length)
    }
    return regions.some(({ type }) => type === 'msi') ? regions : [...regions, MSI]
  }
  /** Faults are told, and their buffers offered again. viommu_event_handler. */
  const interrupt = (trace: io.Trace): void => {
    for (let back = events.next(); back; back = events.next()) {
      events.offer(back.slot, FAULT.size)
      const { head: reason, flags, endpoint: requester, address: iova } = FAULT.decode(back.answer)
      if (reason > 0xff) continue // A reserved bit is set: it must be ignored.
      const what = ['unknown', 'domain', 'page'][reason] ?? 'unknown'
      const how = ['', 'R', 'W', 'RW'][flags & (FLAG.READ | FLAG.WRITE)] as string
      const text = `virtio_iommu ${name}: ${what} fault from EP ${requester} at ${io.hex(iova)} [${how}]`
      trace.emit('fault', { unit: name, requester, iova, reason, write: how.includes('W'), text })
    }
  }
  const [first, last] = [registers.read64(AT.INPUT_FIRST.offset), registers.read64(AT.INPUT_LAST.offset)]
  const limits = { aperture: { first, last }, pageSizes: registers.read64(AT.PAGE_SIZE_MASK.offset) }
  const [lowest, highest] = [registers.read(AT.DOMAIN_FIRST.offset), registers.read(AT.DOMAIN_LAST.offset)]
  // The lowest one is the identity domain's.
  const ids = new io.IdPool(`${name} domain id`, lowest + 1, highest + 1)
  /** What endpoints are attached to, and the domains. */
  const [endpoints, domains] = [new Map<io.Bdf, io.Domain>(), new Set<Pick<io.AuditSource, 'claims'>>()]
  return { name, covers, ...limits, endpoints, domains, ids, identity: lowest, add, sync, reserved, interrupt }
}
