import {
  type CStruct,
  type ForeignObject,
  IommuGroups,
  IOMMUFD_CONVENTION,
  type IoctlRow,
  IoctlTable,
  ioctlCall,
  type KernelDevice,
  type ObjectContext,
  type Plugin,
  struct,
  u32,
} from '@ioasis/core'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { IOMMU_DESTROY, IOMMU_IOAS_COPY, U64_MAX } from './uapi.ts'
import { errnoOf, World } from './world.test-kit.ts'

interface Command {
  readonly size: number
  readonly op: number
  readonly id: number
  readonly out: number
}
/** The number of IOMMU_TEST. */
const layout: CStruct<Command> = struct('paper_test', { size: u32, op: u32, id: u32, out: u32 })
const COMMAND = ioctlCall('PAPER_TEST', 0x3ba0, layout)

/** A device that an object inside the context binds. */
class Bound implements ForeignObject {
  readonly kind = 'foreign'
  id = 0
  users = 0
  device: KernelDevice | undefined
  destroy(): void {
    this.device?.detach(0)
    this.device?.unbind()
  }
}
let context: ObjectContext
const row: IoctlRow<ObjectContext, Command> = {
  call: COMMAND,
  run(on, { op, id }) {
    context = on
    const [group] = world.host.get(IommuGroups).groups
    if (op === 1 && group) {
      const bound = new Bound()
      on.reserve(bound)
      bound.device = on.bindDevice(group.devices[0]!, group)
      bound.device.attach(id, 0)
      on.publish(bound)
      return { ret: 0, out: { out: bound.id } }
    }
    return { ret: 0 }
  },
}
const rows: Plugin = {
  name: 'paper-rows',
  contract: 1,
  provides: [IoctlTable],
  setup: (host) => {
    const convention = { ...IOMMUFD_CONVENTION, sizedFirst: { first: 0x80, last: 0xa0 } }
    host.provide(IoctlTable, { file: 'iommufd', convention, rows: [row] })
  },
}
let world: World
let fd: number
let ioas: number
beforeEach(() => {
  world = new World({ kernel: { test: true }, plugins: [rows], advanced: true })
  fd = world.open()
  ioas = world.ioas(fd)
  world.client.ioctl(fd, COMMAND, {})
})
afterEach(() => world.end())

test('an object of another package is in the id space, and goes with the context', () => {
  const { out } = world.client.ioctl(fd, COMMAND, { op: 1, id: ioas })
  expect([out, context.find(out, Bound).device?.id]).toEqual([2, 3])
  expect(() => context.find(ioas, Bound)).toThrow('ENOENT')
  expect(errnoOf(() => world.client.ioctl(fd, IOMMU_DESTROY, { id: 3 }))).toBe('EBUSY')
  expect(context.domain(4)).toBe(context.pagingDomain(4))
  expect(() => context.domain(3)).toThrow('EINVAL')
  expect(() => context.nestedDomain(4)).toThrow('ENOENT')
  expect(context.device(3).iommu.fn?.name).toBe('0000:00:01.0')
})

test('destroying it unbinds the device and frees what was made for it', () => {
  const { out: id } = world.client.ioctl(fd, COMMAND, { op: 1, id: ioas })
  world.client.ioctl(fd, IOMMU_DESTROY, { id })
  expect([world.domains[0]?.freed, world.ioas(fd)]).toEqual([true, 2])
})

test('a number that was reserved is free again when it is given up', () => {
  const bound = new Bound()
  context.reserve(bound)
  expect(errnoOf(() => context.destroy(bound.id))).toBe('ENOENT')
  context.abandon(bound)
  expect(world.ioas(fd)).toBe(bound.id)
})

test('ranges of an IOAS can be reserved for good', () => {
  context.ioas(ioas).reserve(0x1000n, 0x1fffn)
  expect(world.ranges(fd, ioas).ranges).toEqual([
    [0n, 0xfffn],
    [0x2000n, U64_MAX],
  ])
  world.map(fd, ioas, world.memory(1), 4096, 0x4000n)
  expect(() => context.ioas(ioas).reserve(0x4000n, 0x4000n)).toThrow('EADDRINUSE')
})

test('an access copies, pins what it may, and moves', () => {
  const unmapped: bigint[] = []
  const access = context.createAccess({ name: 'test', needsPins: false, unmapped: (first) => unmapped.push(first) })
  expect(() => access.replace(ioas)).toThrow('ENOENT')
  access.attach(ioas)
  world.map(fd, ioas, world.memory(1), 4096, 0x4000n)
  world.map(fd, ioas, world.memory(1), 4096, 0x9000n)
  expect([access.nthArea(1), access.nthArea(2)]).toEqual([0x9000n, undefined])
  expect(() => access.pin(0x4000n, 4096n, { write: false })).toThrow('EINVAL')
  const caller = { process: world.client.process }
  expect(access.copy(caller, 0x4000n, Uint8Array.of(7), { write: true, slow: true })).toBe(1)
  const back = new Uint8Array(1)
  access.copy(caller, 0x4000n, back, { write: false })
  expect(back[0]).toBe(7)
  access.replace(world.ioas(fd))
  expect(unmapped).toEqual([0n])
  access.unbind()
})

test('a fuzzer names the source of a copy by the number of its area', () => {
  world.map(fd, ioas, world.memory(1), 4096, 0x4000n)
  world.map(fd, ioas, world.memory(2), 8192, 0x9000n)
  const copy = { src_ioas_id: ioas, dst_ioas_id: ioas, length: 4096n, dst_iova: 0x20000n, flags: 0x10007 }
  world.client.ioctl(fd, IOMMU_IOAS_COPY, { ...copy, src_iova: 0x1000_0000_0001n })
  expect(errnoOf(() => world.client.ioctl(fd, IOMMU_IOAS_COPY, { ...copy, src_iova: 5n }))).toBe('ENOENT')
})

test('numbers up to the added one have their size read first', () => {
  expect(errnoOf(() => world.client.ioctl(fd, 0x3b9f, 8n))).toBe('EFAULT')
  expect(errnoOf(() => world.client.ioctl(fd, 0x3ba1, 8n))).toBe('ENOTTY')
})
