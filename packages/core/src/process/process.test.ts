import { describe, expect, test } from 'vitest'
import { HostMemory } from '../memory/host-memory.ts'
import { makeCpus } from '../memory/memory-cpu.ts'
import { PageAllocator } from '../memory/page-allocator.ts'
import { Frames } from './frames.ts'
import { PageRunList, unpinPages } from './pins.ts'
import { type ProcessFiles, ProcessTable } from './process.ts'

const AT = 0x10_0000n

function setUp(): { readonly pages: PageAllocator; readonly processes: ProcessTable } {
  const memory = new HostMemory()
  memory.addRam(0, 4 << 20)
  const [cpu] = makeCpus(memory, undefined, 1)
  const pages = new PageAllocator(memory, cpu)
  return { pages, processes: new ProcessTable(new Frames(pages, cpu, 4096)) }
}
const files = (log: string[], name: string): ProcessFiles => ({
  fork: () => files(log, `${name}'`),
  exec: () => log.push(`${name} exec`),
  exit: () => log.push(`${name} exit`),
})

describe('a process', () => {
  test('of uid 0 has every capability, others none unless given', () => {
    const { processes } = setUp()
    const root = processes.spawn()
    const user = processes.spawn({ uid: 1000, capabilities: ['CAP_IPC_LOCK'] })
    expect([root.can('CAP_SYS_ADMIN'), user.can('CAP_SYS_ADMIN'), user.can('CAP_IPC_LOCK')]).toEqual([
      true,
      false,
      true,
    ])
    expect([root.pid, user.pid, processes.all.length, processes.find(2)]).toEqual([1, 2, 2, user])
  })
  test('may lock what RLIMIT_MEMLOCK says, unless it has CAP_IPC_LOCK', () => {
    const { processes } = setUp()
    const user = processes.spawn({ uid: 1000, limits: { memlock: 10_000 } })
    const { locked } = user.addressSpace
    locked.charge(2, user.lockLimit, 'VFIO_IOMMU_MAP_DMA')
    expect(() => locked.charge(1, user.lockLimit, 'VFIO_IOMMU_MAP_DMA')).toThrow(
      'VFIO_IOMMU_MAP_DMA: ENOMEM pages=0x1 locked=0x2 limit=0x2',
    )
    locked.charge(100, processes.spawn().lockLimit, 'as root')
    locked.uncharge(102)
    expect(locked.pages).toBe(0)
    expect(() => locked.uncharge(1)).toThrow(/1 come back of 0/)
  })
  test('shares the count per user with the user’s other processes', () => {
    const { processes } = setUp()
    const a = processes.spawn({ uid: 7 })
    const b = processes.spawn({ uid: 7 })
    a.user.locked.charge(3, Infinity, 'test')
    expect([b.user.locked.pages, processes.spawn().user.locked.pages]).toEqual([3, 0])
    expect([a.addressSpace.locked.pages, b.user === a.user]).toEqual([0, true])
  })
})

describe('fork', () => {
  test('copies memory, files, credentials and limits', () => {
    const { processes } = setUp()
    const log: string[] = []
    const parent = processes.spawn({ uid: 5, gid: 6, limits: { nofile: 9 } })
    parent.files = files(log, 'parent')
    parent.addressSpace.mmap({ uva: AT, bytes: 4096 })
    parent.addressSpace.locked.charge(1, Infinity, 'test')
    const child = parent.fork()
    child.addressSpace.copyOut(AT, Uint8Array.of(1))
    child.exit()
    expect([child.pid, child.credentials, child.limits.nofile]).toEqual([2, parent.credentials, 9])
    expect([child.addressSpace.locked.pages, log, processes.all]).toEqual([0, ["parent' exit"], [parent]])
    const into = new Uint8Array(1)
    parent.addressSpace.copyIn(AT, into)
    expect(into[0]).toBe(0)
  })
})

describe('exec', () => {
  test('starts with empty memory; the old one is gone for whoever latched it', () => {
    const { pages, processes } = setUp()
    const log: string[] = []
    const process = processes.spawn()
    process.files = files(log, 'p')
    const old = process.addressSpace
    old.mmap({ uva: AT, bytes: 4096 })
    old.copyOut(AT, Uint8Array.of(1))
    process.exec('qemu')
    expect([old.alive, process.addressSpace.mappings.length, pages.allocated]).toEqual([false, 0, 0])
    expect([process.name, log, process.alive]).toEqual(['qemu', ['p exec'], true])
  })
})

describe('exit', () => {
  test('drops memory, then files; pins of others survive', () => {
    const { pages, processes } = setUp()
    const process = processes.spawn()
    const space = process.addressSpace
    const seen: unknown[] = []
    process.files = { ...files([], ''), exit: () => seen.push(space.alive) }
    space.mmap({ uva: AT, bytes: 8192 })
    const runs = new PageRunList()
    space.pin(AT, 1, { write: true }, runs)
    space.copyOut(AT + 4096n, Uint8Array.of(1))
    process.exit()
    process.exit()
    expect([seen, process.alive, processes.find(process.pid), pages.allocated]).toEqual([
      [false],
      false,
      undefined,
      4096,
    ])
    unpinPages(processes.frames, runs)
    expect(pages.allocated).toBe(0)
    expect(() => process.fork()).toThrow(/has ended/)
  })
})
