import { afterEach, beforeEach, expect, test } from 'vitest'
import { IOMMU_IOAS_MAP_FILE } from './uapi.ts'
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

test('a copy into a file pins its pages for as long as it takes, and charges nobody', () => {
  const memfd = world.client.memfd(0x3000)
  world.client.process.credentials = { uid: 1000, gid: 1000, capabilities: new Set() }
  world.client.process.limits = { ...world.client.process.limits, memlock: 0 }
  world.client.ioctl(fd, IOMMU_IOAS_MAP_FILE, { ioas_id: ioas, flags: 7, fd: memfd, length: 0x3000n, iova: 0x1000n })
  const access = world.access(fd)
  access.attach(ioas)
  const sent = Uint8Array.from({ length: 0x1800 }, (_, i) => i & 0xff)
  access.copy(world.client.caller, 0x1c00n, sent, { write: true })
  const got = new Uint8Array(0x1800)
  expect(world.client.pread(memfd, 0xc00, got)).toBe(0x1800)
  expect([got, world.frames.pinned]).toEqual([sent, 0])
  access.unbind()
})

test('pages that are pinned already are read where the device sees them', () => {
  const memory = world.memory(1)
  world.map(fd, ioas, memory, 4096, 0x1000n)
  const access = world.access(fd)
  access.attach(ioas)
  const [run] = access.pin(0x1000n, 0x1000n, { write: true })
  world.frames.cpu.write(run?.hpa as number, Uint8Array.of(0x77))
  world.client.munmap(memory, 4096)
  const other = world.spawn()
  const got = new Uint8Array(1)
  access.copy(other.caller, 0x1000n, got, { write: false })
  expect(got[0]).toBe(0x77)
  expect(errnoOf(() => access.copy(world.client.caller, 0x1000n, got, { write: false }))).toBe('EFAULT')
  access.unpin(0x1000n, 0x1000n)
  access.unbind()
  other.exit()
})
