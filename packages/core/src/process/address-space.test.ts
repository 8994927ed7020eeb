import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { TrappedWindow } from '../memory/backing.ts'
import { CpuCaches } from '../memory/cpu-cache.ts'
import { HostMemory } from '../memory/host-memory.ts'
import { makeCpus } from '../memory/memory-cpu.ts'
import { PageAllocator } from '../memory/page-allocator.ts'
import { AddressSpace, USER_LIMIT } from './address-space.ts'
import { Frames } from './frames.ts'
import { SharedPages } from './memory-pages.ts'
import { RegionPages } from './page-object.ts'
import { PageRunList, unpinPages } from './pins.ts'
import { RemoteMemory } from './remote-memory.ts'

const MiB = 2 ** 20
const AT = 0x10_0000n

function setUp(options: { readonly pageBytes?: number; readonly cached?: boolean } = {}): {
  readonly memory: HostMemory
  readonly pages: PageAllocator
  readonly frames: Frames
  readonly space: AddressSpace
} {
  const memory = new HostMemory({ views: options.cached !== true })
  memory.addRam(0, 16 * MiB)
  const caches = options.cached === true ? new CpuCaches(memory, 1) : undefined
  if (caches) memory.snoop = caches
  const [cpu] = makeCpus(memory, caches, 1)
  const pages = new PageAllocator(memory, cpu)
  const frames = new Frames(pages, cpu, options.pageBytes ?? 4096)
  return { memory, pages, frames, space: new AddressSpace(frames) }
}
const put = (space: AddressSpace, uva: bigint, ...values: number[]): number =>
  space.copyOut(uva, Uint8Array.from(values))
const see = (space: AddressSpace, uva: bigint, n = 1): number[] => {
  const into = new Uint8Array(n)
  return [...into.subarray(0, space.copyIn(uva, into))]
}
const inRam = (memory: HostMemory, hpa: number): number | undefined => {
  const into = new Uint8Array(1)
  memory.read(hpa, into)
  return into[0]
}
const pinned = (space: AddressSpace, uva: bigint, pages: number, write = true): PageRunList => {
  const runs = new PageRunList()
  space.pin(uva, pages, { write }, runs)
  return runs
}

/** NaN in the model: a child's view of shared memory that somebody else wrote. */
const differs = (s: AddressSpace, m: readonly (number | undefined)[]): boolean =>
  m.some((v, i) => !Number.isNaN(v) && see(s, AT + BigInt(i) * 4096n + 100n)[0] !== v)

describe('mmap', () => {
  test('gives zeros, takes no memory until written, and chooses places downwards that do not overlap', () => {
    const { pages, space } = setUp()
    const a = space.mmap({ bytes: 5000 })
    const b = space.mmap({ bytes: 4096 })
    expect([a - b, see(space, a, 3), pages.allocated]).toEqual([4096n, [0, 0, 0], 0])
    put(space, a + 4095n, 1, 2)
    expect([see(space, a + 4095n, 2), pages.allocated]).toEqual([[1, 2], 8192])
  })
  test('at a fixed place takes the place of what was there', () => {
    const { pages, space } = setUp()
    space.mmap({ uva: AT, bytes: 12288 })
    put(space, AT, 1)
    put(space, AT + 4096n, 2)
    space.mmap({ uva: AT + 4096n, bytes: 4096 })
    expect([see(space, AT), see(space, AT + 4096n), pages.allocated]).toEqual([[1], [0], 4096])
    expect(() => space.mmap({ uva: AT, bytes: 1, noReplace: true })).toThrow(/EEXIST/)
  })
  test('refuses no bytes, a place inside a page, and the kernel’s half', () => {
    const { space } = setUp()
    expect(() => space.mmap({ bytes: 0 })).toThrow(/EINVAL/)
    expect(() => space.mmap({ uva: 5n, bytes: 4096 })).toThrow(/EINVAL/)
    expect(() => space.mmap({ uva: BigInt(USER_LIMIT), bytes: 4096 })).toThrow(/ENOMEM/)
    expect(() => space.mmap({ bytes: 2 ** 48 })).toThrow(/ENOMEM/)
  })
  test('works in pages of 64 KiB', () => {
    const { pages, space } = setUp({ pageBytes: 65536 })
    const uva = space.mmap({ bytes: 1 })
    put(space, uva + 65535n, 7)
    expect([uva % 65536n, see(space, uva + 65535n), pages.allocated]).toEqual([0n, [7], 65536])
    expect(() => space.munmap(uva + 4096n, 4096)).toThrow(/EINVAL/)
  })
  test('of huge pages takes them whole', () => {
    const { pages, space } = setUp()
    const uva = space.mmap({ bytes: 3 * MiB, huge: 2 * MiB })
    put(space, uva + BigInt(MiB), 1)
    const runs = pinned(space, uva, 1024)
    expect([uva % BigInt(2 * MiB), pages.allocated, runs.total]).toEqual([0n, 4 * MiB, 4 * MiB])
    expect(() => space.munmap(uva, 4096)).toThrow(/munmap: EINVAL/)
    space.munmap(uva, 4 * MiB)
    expect(pages.allocated).toBe(4 * MiB)
    unpinPages(space.frames, runs)
    expect(pages.allocated).toBe(0)
  })
})

describe('a copy', () => {
  test('stops at a hole, at a missing right, and where user addresses end', () => {
    const { space } = setUp()
    space.mmap({ uva: AT, bytes: 4096 })
    space.mmap({ uva: AT + 4096n, bytes: 4096, write: false })
    space.mmap({ uva: AT + 8192n, bytes: 4096, read: false, write: false })
    expect(space.copyOut(AT + 4094n, new Uint8Array(4))).toBe(2)
    expect(space.copyIn(AT + 4094n, new Uint8Array(4))).toBe(4)
    expect(space.copyIn(AT + 8190n, new Uint8Array(4))).toBe(2)
    expect([space.copyIn(0n, new Uint8Array(1)), space.copyIn((1n << 64n) - 1n, new Uint8Array(1))]).toEqual([0, 0])
  })
  test('goes through the CPU’s cache', () => {
    const { memory, space } = setUp({ cached: true })
    space.mmap({ uva: AT, bytes: 4096 })
    put(space, AT, 7)
    const runs = pinned(space, AT, 1)
    const hpa = runs.hpa[0] as number
    expect([see(space, AT), inRam(memory, hpa)]).toEqual([[7], 0])
    space.frames.cpu.clflush(hpa, 1)
    expect(inRam(memory, hpa)).toBe(7)
  })
  test('to registers is trapped, and stops when the window is revoked', () => {
    const { space } = setUp()
    const stores: string[] = []
    let revoked = false
    const window: TrappedWindow = {
      bytes: 8192,
      hpa: undefined,
      load: (offset, size) => (revoked ? undefined : BigInt(offset + size)),
      store: (offset, size, value) => stores.push(`${offset} ${size} ${value.toString(16)}`) > 0 && !revoked,
      onRevoke: () => () => undefined,
    }
    space.mmap({ uva: AT, bytes: 4096, window, firstPage: 1, shared: true })
    expect(put(space, AT + 4n, 1, 2, 3, 4, 5)).toBe(5)
    expect(stores).toEqual(['4100 4 4030201', '4104 1 5'])
    expect(see(space, AT + 8n, 2)).toEqual([10, 16])
    revoked = true
    expect([see(space, AT), put(space, AT, 1)]).toEqual([[], 0])
    expect(() => pinned(space, AT, 1)).toThrow(/EFAULT/)
  })
  test('to memory that lives elsewhere fails at its byte', () => {
    const { memory, frames, space } = setUp()
    const remote = new RemoteMemory(8192)
    memory.addBacking(32 * MiB, 8192, remote)
    const object = new RegionPages({ name: 'remote', first: 32 * MiB, bytes: 8192, pageBytes: 4096, pinnable: true })
    space.mmap({ uva: AT, bytes: 8192, object, shared: true })
    remote.failAt = 4100
    expect(put(space, AT + 4098n, 1, 2, 3, 4)).toBe(2)
    expect([...remote.bytes.subarray(4098, 4102)]).toEqual([1, 2, 0, 0])
    const runs = pinned(space, AT, 2)
    expect([runs.count, runs.hpa[0], runs.total]).toEqual([1, 32 * MiB, 8192])
    unpinPages(frames, runs)
    expect(frames.pinned).toBe(0)
  })
})

describe('munmap and mprotect', () => {
  test('cut a mapping; the parts keep their bytes', () => {
    const { pages, space } = setUp()
    space.mmap({ uva: AT, bytes: 5 * 4096 })
    for (let i = 0n; i < 5n; i++) put(space, AT + i * 4096n, Number(i) + 1)
    space.munmap(AT + 4096n, 4096)
    space.protect(AT + 8192n, 4096, { read: true, write: false })
    expect([0n, 1n, 2n, 3n, 4n].map((i) => see(space, AT + i * 4096n))).toEqual([[1], [], [3], [4], [5]])
    expect([put(space, AT + 8192n, 9), space.mappings.length, pages.allocated]).toEqual([0, 3, 4 * 4096])
    expect(() => space.protect(AT, 8192, { read: true, write: true })).toThrow(/ENOMEM/)
    space.munmap(AT, 5 * 4096)
    expect([space.mappings.length, pages.allocated]).toEqual([0, 0])
  })
  test('refuse what is not whole pages from a page on', () => {
    const { space } = setUp()
    expect(() => space.munmap(AT + 1n, 4096)).toThrow(/EINVAL/)
    expect(() => space.munmap(AT, 0)).toThrow(/EINVAL/)
    expect(() => space.munmap(AT, 4096)).not.toThrow()
  })
})

describe('a memfd', () => {
  test('is one memory for all who map it shared, and lives while open or mapped', () => {
    const { pages, frames, space } = setUp()
    const other = new AddressSpace(frames)
    const memfd = new SharedPages(frames, { bytes: 8192 })
    const a = space.mmap({ bytes: 8192, object: memfd, shared: true })
    const b = other.mmap({ bytes: 4096, object: memfd, firstPage: 1, shared: true })
    put(space, a + 4096n, 5)
    expect(see(other, b)).toEqual([5])
    memfd.release()
    space.munmap(a, 8192)
    expect([see(other, b), pages.allocated]).toEqual([[5], 4096])
    other.destroy()
    expect(pages.allocated).toBe(0)
  })
  test('mapped private is copied when written or pinned', () => {
    const { pages, frames, space } = setUp()
    const memfd = new SharedPages(frames, { bytes: 8192 })
    const shared = space.mmap({ bytes: 8192, object: memfd, shared: true })
    const own = space.mmap({ bytes: 8192, object: memfd })
    put(space, shared, 1)
    expect(see(space, own)).toEqual([1])
    put(space, own, 2)
    put(space, shared, 3)
    expect([see(space, own), see(space, shared), pages.allocated]).toEqual([[2], [3], 8192])
    unpinPages(frames, pinned(space, own + 4096n, 1, false))
    put(space, shared + 4096n, 4)
    expect(see(space, own + 4096n)).toEqual([0])
  })
  test('ends at its size: beyond is a fault, and truncation gives pages back', () => {
    const { pages, frames, space } = setUp()
    const memfd = new SharedPages(frames, { bytes: 8192 })
    const uva = space.mmap({ bytes: 12288, object: memfd, shared: true })
    put(space, uva + 4096n, 1)
    expect([put(space, uva + 8192n, 1), see(space, uva + 8192n)]).toEqual([0, []])
    const runs = new PageRunList()
    expect(space.pin(uva, 3, { write: true }, runs)).toBe(2)
    unpinPages(frames, runs)
    memfd.truncate(4096)
    expect([see(space, uva + 4096n), pages.allocated]).toEqual([[], 4096])
    memfd.truncate(8192)
    memfd.punch(0, 1)
    expect([see(space, uva + 4096n), pages.allocated]).toEqual([[0], 0])
  })
})

describe('a pin', () => {
  test('keeps the page where it is after munmap, until it is let go', () => {
    const { memory, pages, frames, space } = setUp()
    space.mmap({ uva: AT, bytes: 8192 })
    put(space, AT, 7)
    const runs = pinned(space, AT + 5n, 2)
    space.munmap(AT, 8192)
    expect([inRam(memory, runs.hpa[0] as number), pages.allocated, frames.pinned]).toEqual([7, 8192, 2])
    unpinPages(frames, runs)
    expect([pages.allocated, frames.pinned]).toEqual([0, 0])
    expect(() => unpinPages(frames, runs)).toThrow(/more often than it was taken/)
  })
  test('says how far it went, and throws EFAULT when not even the first page can be had', () => {
    const { space } = setUp()
    space.mmap({ uva: AT, bytes: 8192 })
    space.mmap({ uva: AT + 8192n, bytes: 4096, write: false })
    const runs = new PageRunList()
    expect(space.pin(AT, 4, { write: true }, runs)).toBe(2)
    expect(space.pin(AT, 4, { write: false }, runs)).toBe(3)
    expect(() => space.pin(AT + 8192n, 1, { write: true }, runs)).toThrow(
      'pin: EFAULT uva=0x102000 pages=0x1 write=0x1',
    )
    expect(() => space.pin(0n, 1, { write: false }, runs)).toThrow(/EFAULT/)
    expect(() => space.pin(1n << 63n, 1, { write: false }, runs)).toThrow(/EFAULT/)
  })
  test('throws ENOMEM for the first page, and stops short for a later one', () => {
    const { pages, space } = setUp()
    space.mmap({ uva: AT, bytes: 8192 })
    const runs = new PageRunList()
    pages.failAfter = 1
    expect(() => space.pin(AT, 2, { write: true }, runs)).toThrow(/ENOMEM/)
    pages.failAfter = 2
    expect(space.pin(AT, 2, { write: true }, runs)).toBe(1)
    expect([runs.count, runs.total, space.frames.pinned]).toEqual([1, 4096, 1])
  })
  test('merges pages that lie together into runs, across mappings', () => {
    const { frames, space } = setUp()
    space.mmap({ uva: AT, bytes: 8192 })
    space.mmap({ uva: AT + 8192n, bytes: 4096 })
    const runs = pinned(space, AT, 3)
    expect([runs.count, runs.total]).toEqual([1, 12288])
    unpinPages(frames, runs)
    put(space, AT + 8192n, 1)
    runs.clear()
    expect([space.pin(AT, 3, { write: true }, runs), runs.total]).toEqual([3, 12288])
  })
  test('of device memory is EFAULT, although it can be copied', () => {
    const { space } = setUp()
    const object = new RegionPages({ name: 'vram', first: 8 * MiB, bytes: 4096, pageBytes: 4096, pinnable: false })
    space.mmap({ uva: AT, bytes: 4096, object, shared: true })
    expect(put(space, AT, 1)).toBe(1)
    expect(() => pinned(space, AT, 1)).toThrow(/EFAULT/)
  })
  test('stays with the device after MADV_DONTNEED; the process gets a new page', () => {
    const { memory, frames, space } = setUp()
    space.mmap({ uva: AT, bytes: 4096 })
    put(space, AT, 7)
    const runs = pinned(space, AT, 1)
    space.advise(AT, 4096, 'dontneed')
    expect([see(space, AT), inRam(memory, runs.hpa[0] as number)]).toEqual([[0], 7])
    put(space, AT, 8)
    expect(inRam(memory, runs.hpa[0] as number)).toBe(7)
    unpinPages(frames, runs)
  })
})

describe('fork', () => {
  test('copies private memory on write and shares shared memory', () => {
    const { pages, space } = setUp()
    space.mmap({ uva: AT, bytes: 4096 })
    space.mmap({ uva: AT + 4096n, bytes: 4096, shared: true })
    put(space, AT, 1)
    put(space, AT + 4096n, 1)
    const child = space.fork()
    expect(pages.allocated).toBe(8192)
    put(space, AT, 2)
    put(child, AT + 4096n, 3)
    expect([see(child, AT), see(space, AT), see(space, AT + 4096n), pages.allocated]).toEqual([[1], [2], [3], 12288])
    child.destroy()
    space.destroy()
    expect(pages.allocated).toBe(0)
  })
  test('leaves pinned pages with the parent and gives the child a copy at once', () => {
    const { memory, pages, frames, space } = setUp()
    space.mmap({ uva: AT, bytes: 4096 })
    put(space, AT, 1)
    const runs = pinned(space, AT, 1)
    const child = space.fork()
    expect(pages.allocated).toBe(8192)
    put(space, AT, 2)
    expect([inRam(memory, runs.hpa[0] as number), see(child, AT)]).toEqual([2, [1]])
    unpinPages(frames, runs)
  })
  test('does not pass on what was advised against', () => {
    const { space } = setUp()
    space.mmap({ uva: AT, bytes: 12288 })
    put(space, AT + 4096n, 1)
    space.advise(AT + 4096n, 4096, 'dontfork')
    const child = space.fork()
    expect([see(child, AT), see(child, AT + 4096n), see(space, AT + 4096n)]).toEqual([[0], [], [1]])
    space.advise(AT + 4096n, 4096, 'dofork')
    expect(see(space.fork(), AT + 4096n)).toEqual([1])
  })
  test('that runs out of memory leaves nothing behind', () => {
    const { pages, frames, space } = setUp()
    space.mmap({ uva: AT, bytes: 8192 })
    const runs = pinned(space, AT, 2)
    pages.failAfter = 2
    expect(() => space.fork()).toThrow(/ENOMEM/)
    expect(pages.allocated).toBe(8192)
    unpinPages(frames, runs)
    space.destroy()
    expect(pages.allocated).toBe(0)
  })
})

test('a space that is gone maps, copies and pins nothing', () => {
  const { space } = setUp()
  space.mmap({ uva: AT, bytes: 4096 })
  space.destroy()
  expect([space.alive, see(space, AT)]).toEqual([false, []])
  expect(() => pinned(space, AT, 1)).toThrow(/EFAULT/)
  expect(() => space.mmap({ bytes: 4096 })).toThrow(/EINVAL/)
})

test('at() names the page by object and index', () => {
  const { frames, space } = setUp()
  const memfd = new SharedPages(frames, { bytes: 16384 })
  space.mmap({ uva: AT, bytes: 8192, object: memfd, firstPage: 1, shared: true })
  expect(space.at(AT + 4097n)?.target).toEqual({ kind: 'pages', object: memfd, firstPage: 2 })
  expect([space.at(AT + 8192n), space.at(1n << 63n)]).toEqual([undefined, undefined])
})

test('any order of calls keeps bytes as a flat model has them, pins count, and everything comes back', () => {
  const PAGES = 12
  const step = fc.record({
    op: fc.constantFrom('map', 'shared', 'unmap', 'write', 'pin', 'unpin', 'fork', 'dontneed'),
    page: fc.integer({ min: 0, max: PAGES - 1 }),
    count: fc.integer({ min: 1, max: 4 }),
    value: fc.integer({ min: 1, max: 255 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { pages, frames, space } = setUp()
      const model: (number | undefined)[] = Array.from({ length: PAGES })
      const isShared: boolean[] = Array.from({ length: PAGES }, () => false)
      const children: { readonly space: AddressSpace; readonly model: (number | undefined)[] }[] = []
      const pins: PageRunList[] = []
      const run = ({ op, page, count, value }: (typeof steps)[number]): void => {
        const n = Math.min(count, PAGES - page)
        const uva = AT + BigInt(page) * 4096n
        const whole = model.slice(page, page + n).every((v) => v !== undefined)
        if (op === 'map' || op === 'shared') {
          space.mmap({ uva, bytes: n * 4096, shared: op === 'shared' })
          model.fill(0, page, page + n)
          isShared.fill(op === 'shared', page, page + n)
        } else if (op === 'unmap') {
          space.munmap(uva, n * 4096)
          model.fill(undefined, page, page + n)
        } else if (op === 'write' && model[page] !== undefined) {
          put(space, uva + 100n, value)
          model[page] = value
          if (isShared[page]) for (const child of children) child.model[page] = NaN
        } else if (op === 'pin' && whole) pins.push(pinned(space, uva, n))
        else if (op === 'unpin' && pins.length > 0) unpinPages(frames, pins.pop() as PageRunList)
        else if (op === 'dontneed' && whole) {
          space.advise(uva, n * 4096, 'dontneed')
          for (let i = page; i < page + n; i++) if (!isShared[i]) model[i] = 0
        } else if (op === 'fork' && children.length < 3) children.push({ space: space.fork(), model: model.slice() })
      }
      const wrong = steps.filter((s) => {
        run(s)
        return differs(space, model) || children.some((c) => differs(c.space, c.model))
      })
      expect(wrong).toEqual([])
      expect(frames.pinned).toBe(pins.reduce((sum, runs) => sum + runs.total / 4096, 0))
      for (const s of [space, ...children.map((c) => c.space)]) s.destroy()
      for (const runs of pins) unpinPages(frames, runs)
      expect([pages.allocated, frames.pinned]).toEqual([0, 0])
    }),
    { numRuns: 60 },
  )
})
