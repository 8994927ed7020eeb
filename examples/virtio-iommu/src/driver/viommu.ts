/** One device as its driver has it. Facts: drivers/iommu/virtio-iommu.c viommu_probe, __viommu_add_req, __viommu_sync_req. */
import * as io from '@ioasis/core'
import { FAULT, FEATURE, FLAG, PROBE, PROPERTY, RESV_MEM, STATUS, TAIL_BYTES, TYPE } from '../spec/iommu.ts'
import { type RegisterName, REGISTERS, STATUS as DEVICE } from '../spec/virtio.ts'
import { driverQueue, SLOTS } from './virtqueue.ts'

/** Where firmware says that a device stands, and whom it covers. */
export type Found = Pick<io.IommuUnit, 'name' | 'covers'> & { readonly registers: io.Hpa }
/** By status, viommu_get_req_errno. */
const ERRNO: readonly io.Errno[] = ['EIO', 'EIO', 'ENOSYS', 'EIO', 'EINVAL', 'ERANGE', 'ENOENT', 'EFAULT', 'ENOMEM']
/** Where messages are mapped for a device that names no window: MSI_IOVA_BASE. */
const MSI = { first: 0x800_0000n, last: 0x80f_ffffn, type: 'software-msi', read: false, write: true } as const
const NOTHING = new Uint8Array(0)
/** Looks at a device that gives nothing back. */
const PATIENCE = 1000

/** @param at where the status stands in an answer @throws UapiError */
export function mustBeOk(answer: Uint8Array, at: number, operation: string): void {
  const status = answer[at] ?? STATUS.IOERR
  if (status !== STATUS.OK) throw new io.UapiError(ERRNO[status] ?? 'EIO', operation, { status })
}
/** One device. */
export type Viommu = ReturnType<typeof startViommu>

/** Switches a device on. @throws UapiError ENODEV, ENOMEM */
export function startViommu({ name, registers, covers }: Found, cpu: io.Cpu, pages: io.PageAllocator) {
  const at = (register: RegisterName): [hpa: io.Hpa, size: 4 | 8] => {
    const { offset, size = 4 }: io.RegisterSpec = REGISTERS[register]
    return [registers + offset, size]
  }
  const read = (register: RegisterName): bigint => cpu.load(...at(register))
  const write = (register: RegisterName, value: bigint | number): void => cpu.store(...at(register), BigInt(value))
  const features = read('DEVICE_FEATURES')
  if ((features & BigInt(FEATURE.MAP_UNMAP)) === 0n) throw new io.UapiError('ENODEV', 'viommu_probe', { features })
  const on = DEVICE.ACKNOWLEDGE | DEVICE.DRIVER | DEVICE.FEATURES_OK
  write('STATUS', 0)
  write('DRIVER_FEATURES', features)
  write('STATUS', on)
  const requests = driverQueue('REQUEST', cpu, registers, pages)
  const events = driverQueue('EVENT', cpu, registers, pages)
  write('STATUS', on | DEVICE.DRIVER_OK)
  for (let slot = 0; slot < SLOTS; slot++) events.offer(slot, NOTHING, FAULT.size)
  // Linux leaves it as firmware does; here a function that is attached to nothing reaches nothing.
  write('BYPASS', 0)
  const pending: ((answer: Uint8Array) => void)[] = []
  let refused = 0

  /** Puts a request into the queue; the device is told in `sync`, or when the queue is full. @param done gets the answer */
  const add = (request: Uint8Array, done?: (answer: Uint8Array) => void, room: number = TAIL_BYTES): void => {
    if (pending.length === SLOTS) sync()
    requests.offer(pending.length, request.subarray(0, request.length - TAIL_BYTES), room)
    pending.push(done ?? (([status]) => (refused += status === STATUS.OK ? 0 : 1)))
  }
  /** Tells the device once of all requests, and waits for all. Time passes by reading a register. */
  const sync = (): void => {
    if (pending.length > 0) write('QUEUE_NOTIFY', 0)
    for (let left = pending.length, looks = 0; left > 0; looks++) {
      if (looks > PATIENCE) throw new Error(`${name} does not answer`)
      read('INTERRUPT_STATUS')
      const back = requests.next()
      if (back) pending[back.slot]?.(back.answer)
      if (back) left--
    }
    pending.length = 0
  }
  /** Regions of a function, viommu_probe_endpoint. @throws UapiError as the device refuses */
  const reserved = (endpoint: io.Bdf): readonly io.ReservedRegion[] => {
    const regions: io.ReservedRegion[] = []
    const bytes = Number(read('PROBE_SIZE'))
    let properties = NOTHING
    add(PROBE.make({ type: TYPE.PROBE, endpoint }), (answer) => (properties = answer.slice()), bytes + TAIL_BYTES)
    sync()
    mustBeOk(properties, bytes, 'viommu_probe_endpoint')
    for (let next = 0; next < bytes;) {
      const { type, length, subtype, first, last } = RESV_MEM.decode(properties.subarray(next, bytes))
      if (type === 0) break
      const message = subtype === PROPERTY.MSI
      const region = { first, last, type: message ? 'msi' : 'reserved', read: false, write: message } as const
      if (type === PROPERTY.RESV_MEM) regions.push(region)
      next += PROPERTY.HEAD_BYTES + length
    }
    return regions.some(({ type }) => type === 'msi') ? regions : [...regions, MSI]
  }
  /** Faults are told, and their buffers offered again. viommu_event_handler. */
  const interrupt = (trace: io.Trace): void => {
    write('INTERRUPT_STATUS', 1)
    for (let back = events.next(); back; back = events.next()) {
      const { reason, flags, endpoint: requester, address: iova } = FAULT.decode(back.answer)
      const [what, isWrite] = [['unknown', 'domain', 'page'][reason] ?? 'unknown', (flags & FLAG.WRITE) !== 0]
      const how = `${(flags & FLAG.READ) !== 0 ? 'R' : ''}${isWrite ? 'W' : ''}`
      const text = `virtio_iommu ${name}: ${what} fault from EP ${requester} at ${io.hex(iova)} [${how}]`
      events.offer(back.slot, NOTHING, FAULT.size)
      trace.emit('fault', { unit: name, requester, iova, reason, write: isWrite, text })
    }
  }
  /** What endpoints are attached to, and the domains by id; requests that were refused though nobody waited for them. */
  const [endpoints, domains] = [new Map<io.Bdf, io.Domain>(), new Map<number, io.Domain>()]
  return { name, covers, endpoints, domains, read, add, sync, reserved, interrupt, refused: () => refused }
}
