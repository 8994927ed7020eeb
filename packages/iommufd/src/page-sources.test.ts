import type { DmaBuf } from '@ioasis/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { IOMMU_IOAS_MAP_FILE, U64_MAX } from './uapi.ts'
import { errnoOf, type PaperDomain, World } from './world.test-kit.ts'

let world: World
let fd: number
let ioas: number
beforeEach(() => {
  world = new World()
  fd = world.open()
  ioas = world.ioas(fd)
})
afterEach(() => world.end())
const domain = (): PaperDomain => world.domains[0] as PaperDomain
const mapFile = (values: object): bigint =>
  world.client.ioctl(fd, IOMMU_IOAS_MAP_FILE, { ioas_id: ioas, flags: 7, length: 0x1000n, ...values }).iova

test('a memfd is one memory for all: what a program writes a device reads', () => {
  const memfd = world.client.memfd(0x4000)
  const memory = world.client.mmap({ bytes: 0x4000, fd: memfd })
  world.client.poke(memory + 0x2000n, Uint8Array.of(0x5a))
  const device = world.bind(fd, 'a')
  device.attach(ioas)
  mapFile({ fd: memfd, start: 0x2000n, iova: 0x10000n })
  const byte = new Uint8Array(1)
  world.frames.cpu.read(domain().lookup(0x10000n) as number, byte)
  expect([byte[0], world.frames.pinned]).toEqual([0x5a, 1])
  world.client.close(memfd)
  world.client.munmap(memory, 0x4000)
  world.audit()
  device.unbind()
})

/** A device's memory as a file. */
class Buffer implements DmaBuf {
  readonly dmaBuf: DmaBuf['dmaBuf']
  revoked = false
  released = 0
  #listeners: ((revoked: boolean) => void)[] = []
  constructor(...ranges: DmaBuf['dmaBuf']['ranges'][number][]) {
    const isRevoked = (): boolean => this.revoked
    this.dmaBuf = {
      bytes: ranges.reduce((sum, range) => sum + BigInt(range.bytes), 0n),
      ranges,
      get revoked() {
        return isRevoked()
      },
      onRevoke: (listener) => {
        this.#listeners.push(listener)
        return () => void (this.#listeners = this.#listeners.filter((other) => other !== listener))
      },
    }
  }
  revoke(): void {
    for (const listener of this.#listeners) listener(true)
    this.revoked = true
  }
  get listeners(): number {
    return this.#listeners.length
  }
  release(): void {
    this.released++
  }
}
const RANGE = { hpa: 0xe000_0000, bytes: 0x4000 }

describe('a dma-buf', () => {
  test('is mapped as registers, pins nothing, and lives while it is mapped', () => {
    const buffer = new Buffer(RANGE)
    const number = world.client.adopt(buffer)
    const device = world.bind(fd, 'a')
    device.attach(ioas)
    mapFile({ fd: number, start: 0x1000n, iova: 0x10000n, length: 0x2000n })
    expect([domain().lookup(0x11000n), domain().pages.get(0x10000n)?.prot.mmio]).toEqual([0xe000_2000, true])
    world.client.close(number)
    world.audit()
    expect([world.frames.pinned, buffer.released]).toEqual([0, 0])
    expect(world.unmap(fd, ioas, 0x10000n, 0x2000)).toBe(0x2000n)
    expect([buffer.released, buffer.listeners]).toEqual([1, 0])
    device.unbind()
  })
  test('that is taken back is out of every domain at once, for good', () => {
    const buffer = new Buffer(RANGE)
    const device = world.bind(fd, 'a')
    device.attach(ioas)
    world.hwpt(fd, device.id, ioas)
    mapFile({ fd: world.client.adopt(buffer), iova: 0x10000n })
    buffer.revoke()
    expect(world.domains.map((d) => d.pages.size)).toEqual([0, 0])
    world.audit()
    world.hwpt(fd, device.id, ioas)
    expect(world.domains.map((d) => d.pages.size)).toEqual([0, 0, 0])
    expect(world.unmap(fd, ioas, 0n, U64_MAX)).toBe(0x1000n)
    device.unbind()
  })
  test.each([
    ['beyond its end', () => new Buffer(RANGE), { length: 0x5000n }, 'EINVAL'],
    ['of several ranges', () => new Buffer(RANGE, RANGE), {}, 'EOPNOTSUPP'],
    ['that was taken back', () => Object.assign(new Buffer(RANGE), { revoked: true }), {}, 'ENODEV'],
  ] as const)('%s cannot be mapped', (_, make, values, errno) => {
    const buffer = make()
    const number = world.client.adopt(buffer)
    expect(errnoOf(() => mapFile({ fd: number, iova: 0n, ...values }))).toBe(errno)
    world.client.close(number)
    expect([buffer.released, buffer.listeners]).toEqual([1, 0])
  })
})
