/** A process whose memory lies elsewhere: no views, and it fails at a chosen byte. */
import { Memory, RegionPages, RemoteMemory } from '@ioasis/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { IOMMU_IOAS_ALLOC, IOMMU_IOAS_MAP, U64_MAX } from './uapi.ts'
import { errnoOf, type PaperDomain, World } from './world.test-kit.ts'

const AT = 0x1_0000_0000
const BYTES = 0x10000
let world: World
let remote: RemoteMemory
let memory: bigint
let fd: number
let ioas: number
beforeEach(() => {
  world = new World()
  remote = new RemoteMemory(BYTES)
  world.host.get(Memory).addBacking(AT, BYTES, remote)
  const object = new RegionPages({ name: 'remote', first: AT, bytes: BYTES, pageBytes: 4096, pinnable: true })
  memory = world.client.process.addressSpace.mmap({ bytes: BYTES, object, shared: true })
  fd = world.open()
  ioas = world.ioas(fd)
})
afterEach(() => world.end())

describe('memory of another process', () => {
  test('is pinned and mapped as any other', () => {
    const device = world.bind(fd, 'a')
    device.attach(ioas)
    world.map(fd, ioas, memory, BYTES, 0x100000n)
    const domain = world.domains[0] as PaperDomain
    expect([domain.lookup(0x100000n), domain.pages.size, world.frames.pinned]).toEqual([AT, 16, 16])
    world.audit()
    expect(world.unmap(fd, ioas, 0n, U64_MAX)).toBe(BigInt(BYTES))
    device.unbind()
  })
  test('holds the structs of calls', () => {
    const at = memory + 0x2000n
    world.client.poke(at, IOMMU_IOAS_ALLOC.struct!.make({ size: 12 }))
    expect(world.client.ioctl(fd, IOMMU_IOAS_ALLOC.number, at)).toBe(0)
    expect(IOMMU_IOAS_ALLOC.struct!.decode(world.client.peek(at, 12)).out_ioas_id).toBe(ioas + 1)
  })
  test('that fails inside a struct is EFAULT, before and after the call', () => {
    const at = memory + 0x2000n
    world.client.poke(at, IOMMU_IOAS_ALLOC.struct!.make({ size: 12 }))
    remote.failAt = 0x200a
    expect(errnoOf(() => world.client.ioctl(fd, IOMMU_IOAS_ALLOC.number, at))).toBe('EFAULT')
    remote.failAt = undefined
    const read = remote.read.bind(remote)
    remote.read = (offset, into) => {
      const got = read(offset, into)
      remote.failAt = 0x200a
      return got
    }
    expect(errnoOf(() => world.client.ioctl(fd, IOMMU_IOAS_ALLOC.number, at))).toBe('EFAULT')
    remote.read = read
    remote.failAt = undefined
    expect(world.ioas(fd)).toBe(ioas + 1)
  })
  test('that fails while a result is written back leaves a mapping, as any memory does', () => {
    const at = memory + 0x2000n
    world.client.poke(
      at,
      IOMMU_IOAS_MAP.struct!.make({ size: 40, flags: 7, ioas_id: ioas, user_va: memory, length: 4096n }),
    )
    remote.write = () => 0
    expect(errnoOf(() => world.client.ioctl(fd, IOMMU_IOAS_MAP.number, at))).toBe('EFAULT')
    expect(world.unmap(fd, ioas, 0n, 4096)).toBe(4096n)
  })
  test('is reached by an emulated device up to the byte that fails', () => {
    world.map(fd, ioas, memory, BYTES, 0x1000n)
    const access = world.access(fd)
    access.attach(ioas)
    remote.failAt = 0x800
    const copy = (iova: bigint): unknown =>
      errnoOf(() => access.copy(world.client.caller, iova, new Uint8Array(16), { write: true }))
    expect([copy(0x1000n), copy(0x17f8n)]).toEqual([undefined, 'EFAULT'])
    const other = world.spawn()
    const far = (): number => access.copy(other.caller, 0x17f8n, new Uint8Array(16), { write: false })
    expect([errnoOf(far), world.frames.pinned]).toEqual(['EFAULT', 0])
    access.unbind()
    other.exit()
  })
})
