import { createHost, Files, IoctlTable, Processes, Strace, SystemCalls } from '@ioasis/core'
import { afterEach, describe, expect, test } from 'vitest'
import { iommufd } from './plugin.ts'
import { IOMMU_IOAS_ALLOC } from './uapi.ts'
import { errnoOf, World } from './world.test-kit.ts'

let world: World | undefined
afterEach(() => world?.host.close())

describe('/dev/iommu', () => {
  test('is there when the kernel was built with it', () => {
    for (const built of [true, false]) {
      using host = createHost({ plugins: [iommufd()], kernel: { iommufd: built } })
      expect(host.get(Files).exists('/dev/iommu')).toBe(built)
      expect(host.all(IoctlTable).some((table) => table.file === 'iommufd')).toBe(built)
    }
  })
  test('answers reading, writing and mapping as Linux does', () => {
    world = new World()
    const fd = world.open()
    const { client } = world
    expect([
      errnoOf(() => client.read(fd, new Uint8Array(8))),
      errnoOf(() => client.write(fd, new Uint8Array(8))),
      errnoOf(() => client.mmap({ bytes: 4096, fd })),
      errnoOf(() => client.mmap({ bytes: 4096, fd, shared: false })),
      client.poll([{ fd, events: 5 }])[0],
    ]).toEqual(['EINVAL', 'EINVAL', 'ENXIO', 'EINVAL', 5])
  })
  test('two contexts know nothing of each other', () => {
    world = new World()
    const [one, two] = [world.open(), world.open()]
    expect([world.ioas(one), world.ioas(one), world.ioas(two)]).toEqual([1, 2, 1])
  })
  test('an unknown number is refused before the argument is read, one of its own type after its size', () => {
    world = new World()
    const fd = world.open()
    const { client } = world
    const call = (number: number, arg: bigint): unknown => errnoOf(() => client.ioctl(fd, number, arg))
    expect([call(0x3b00, 1n), call(0x3b95, 1n), call(0x4b80, 1n), call(0x4b80, client.put(new Uint8Array(8)))]).toEqual(
      ['ENOTTY', 'ENOTTY', 'EFAULT', 'ENOTTY'],
    )
  })
  test('is closed to those who may not use it', () => {
    world = new World()
    const other = world.spawn({ uid: 1000, gid: 1000 })
    expect(errnoOf(() => other.open('/dev/iommu'))).toBe('EACCES')
  })
})

test('calls are printed by name', () => {
  world = new World()
  const fd = world.open()
  const lines: string[] = []
  world.client.observer = new Strace(world.host.all(IoctlTable), (line) => lines.push(line))
  world.ioas(fd)
  expect(lines).toEqual([
    expect.stringMatching(new RegExp(`^ioctl\\(${fd}, ${IOMMU_IOAS_ALLOC.name}, \\{size=12.*= 0$`)),
  ])
})

test('a program that exits closes everything it had', () => {
  world = new World()
  const calls = new SystemCalls(world.host, world.host.get(Processes).spawn())
  calls.open('/dev/iommu')
  calls.exit()
  expect(world.leavesNothing()).toEqual({ pins: 0, domains: 0, owners: 0, charged: 0 })
})
