import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { IOMMU_DESTROY, U64_MAX } from './uapi.ts'
import { errnoOf, World } from './world.test-kit.ts'

let world: World
let fd: number
let ioas: number
beforeEach(() => {
  world = new World()
  fd = world.open()
  ioas = world.ioas(fd)
})
afterEach(() => world.end())
const WRITE = { write: true }
const READ = { write: false }

describe('attach', () => {
  test('answers the IOAS itself, asks for whole pages, and reserves nothing', () => {
    const access = world.access(fd)
    expect([access.id, access.attach(ioas)]).toEqual([2, ioas])
    expect(world.ranges(fd, ioas)).toEqual({ ranges: [[0n, U64_MAX]], alignment: 4096n })
    expect(errnoOf(() => world.client.ioctl(fd, IOMMU_DESTROY, { id: ioas }))).toBe('EBUSY')
    access.unbind()
    expect(world.ranges(fd, ioas).alignment).toBe(1n)
  })
  test('knows an IOAS only', () => {
    const access = world.access(fd)
    expect([errnoOf(() => access.attach(access.id)), errnoOf(() => access.attach(99))]).toEqual(['ENOENT', 'ENOENT'])
    access.unbind()
  })
  test('is refused by a mapping that is not aligned; a user that only copies does not mind', () => {
    world.map(fd, ioas, world.memory(1), 0x10, 0x1000n)
    const [pins, copies] = [world.access(fd), world.access(fd, { needsPins: false })]
    expect(errnoOf(() => pins.attach(ioas))).toBe('EADDRINUSE')
    expect(copies.attach(ioas)).toBe(ioas)
    pins.unbind()
    copies.unbind()
  })
  test('to another IOAS tells the user to let everything go', () => {
    const told: unknown[] = []
    const access = world.access(fd, { unmapped: (first, bytes) => told.push([first, bytes]) })
    access.attach(ioas)
    access.attach(world.ioas(fd))
    expect(told).toEqual([[0n, U64_MAX]])
    access.detach()
    access.detach()
    access.unbind()
  })
})

describe('copy', () => {
  test('reads and writes across areas', () => {
    const memory = world.memory(2)
    world.map(fd, ioas, memory + 0x1000n, 4096, 0x1000n)
    world.map(fd, ioas, memory, 4096, 0x2000n)
    const access = world.access(fd)
    access.attach(ioas)
    const sent = Uint8Array.from({ length: 16 }, (_, i) => i + 1)
    expect(access.copy(world.client.caller, 0x1ff8n, sent, WRITE)).toBe(16)
    expect(world.client.peek(memory + 0x1ff8n, 8)).toEqual(sent.slice(0, 8))
    expect(world.client.peek(memory, 8)).toEqual(sent.slice(8))
    const got = new Uint8Array(16)
    access.copy(world.client.caller, 0x1ff8n, got, READ)
    expect(got).toEqual(sent)
    access.unbind()
  })
  test('into the memory of another process, and into a file', () => {
    const memory = world.memory(1)
    world.map(fd, ioas, memory, 4096, 0x1000n)
    const access = world.access(fd)
    access.attach(ioas)
    const other = world.spawn()
    access.copy(other.caller, 0x1000n, Uint8Array.of(7), WRITE)
    expect([world.client.peek(memory, 1)[0], world.frames.pinned]).toEqual([7, 0])
    access.unbind()
    other.exit()
  })
  test('is refused at holes, without the right, and where nothing is attached', () => {
    world.map(fd, ioas, world.memory(1), 4096, 0x1000n, 5)
    const access = world.access(fd)
    const copy = (iova: bigint, bytes: number, how: { write: boolean }): unknown =>
      errnoOf(() => access.copy(world.client.caller, iova, new Uint8Array(bytes), how))
    expect(copy(0x1000n, 1, READ)).toBe('ENOENT')
    access.attach(ioas)
    expect([copy(0x1000n, 1, WRITE), copy(0x1fffn, 2, READ), copy(0x1000n, 0, READ), copy(U64_MAX, 2, READ)]).toEqual([
      'EPERM',
      'ENOENT',
      'EINVAL',
      'EOVERFLOW',
    ])
    access.unbind()
  })
})

describe('pin', () => {
  test('keeps pages until they are given back, together with a domain that maps them', () => {
    world.map(fd, ioas, world.memory(4), 4 * 4096, 0x1000n)
    const access = world.access(fd)
    access.attach(ioas)
    const runs = access.pin(0x2000n, 0x2000n, WRITE)
    expect([runs.reduce((sum, run) => sum + run.bytes, 0), world.frames.pinned]).toEqual([0x2000, 2])
    world.audit()
    const device = world.bind(fd, 'a')
    device.attach(ioas)
    expect([world.frames.pinned, world.domains[0]?.lookup(0x2000n)]).toEqual([4, runs[0]?.hpa])
    device.unbind()
    expect(world.frames.pinned).toBe(2)
    access.unpin(0x2000n, 0x2000n)
    expect(world.frames.pinned).toBe(0)
    access.unbind()
  })
  test('an unmap asks for the pins back before it goes on', () => {
    world.map(fd, ioas, world.memory(2), 8192, 0x1000n)
    const told: unknown[] = []
    const access = world.access(fd, {
      unmapped: (first, bytes) => {
        told.push([first, bytes])
        if (bytes !== U64_MAX) access.unpin(0x2000n, 0x1000n)
      },
    })
    access.attach(ioas)
    access.pin(0x2000n, 0x1000n, READ)
    expect(world.unmap(fd, ioas, 0n, U64_MAX)).toBe(0x2000n)
    expect([told, world.frames.pinned]).toEqual([[[0x1000n, 0x2000n]], 0])
    access.unbind()
  })
  test('that meets a hole pins nothing', () => {
    world.map(fd, ioas, world.memory(1), 4096, 0x1000n)
    world.map(fd, ioas, 0n, 4096, 0x2000n)
    const access = world.access(fd)
    access.attach(ioas)
    expect(errnoOf(() => access.pin(0x1000n, 0x3000n, READ))).toBe('EFAULT')
    expect(errnoOf(() => access.pin(0x1800n, 0x800n, READ))).toBe('EINVAL')
    expect(world.frames.pinned).toBe(0)
    world.audit()
    access.unbind()
  })
  test('that is not given back exactly is a broken promise', () => {
    world.map(fd, ioas, world.memory(2), 8192, 0x1000n)
    const access = world.access(fd)
    access.attach(ioas)
    access.pin(0x1000n, 0x2000n, READ)
    expect(() => access.unpin(0x1000n, 0x1000n)).toThrow('did not pin')
    access.unpin(0x1000n, 0x2000n)
    access.unbind()
  })
})

test('an access keeps the context after its file is closed', () => {
  const access = world.access(fd)
  world.client.close(fd)
  expect(access.attach(ioas)).toBe(ioas)
  access.unbind()
})
