import { describe, expect, test } from 'vitest'
import { createHost } from '../plugin/host.ts'
import type { Plugin } from '../plugin/plugin.ts'
import { Processes } from '../process/process.ts'
import { Sysfs } from '../sysfs.ts'
import { FileNode } from './file-ops.ts'
import { Files } from './file-system.ts'
import { ret } from './rig.test-kit.ts'
import { SystemCalls } from './system-calls.ts'

const opened = (log: string[], path: string, mode?: number): FileNode => ({
  path,
  ...(mode !== undefined && { mode }),
  ...(path.endsWith('/') && { names: () => ['vfio0'] }),
  open: (_caller, asked, how) => {
    log.push(`${asked} ${how.read ? 'r' : ''}${how.write ? 'w' : ''}`)
    return { release: () => log.push(`close ${asked}`) }
  },
})

function setUp(
  nodes: readonly FileNode[],
  uid = 0,
): { readonly calls: SystemCalls; readonly host: ReturnType<typeof createHost> } {
  const plugin: Plugin = {
    name: 'nodes',
    contract: 1,
    provides: [FileNode],
    setup: (h) => nodes.forEach((node) => h.provide(FileNode, node)),
  }
  const host = createHost({ plugins: [plugin] })
  return { host, calls: new SystemCalls(host, host.get(Processes).spawn({ uid, gid: uid })) }
}

describe('a path', () => {
  test('opens the node a plug-in brought, with the access asked for', () => {
    const log: string[] = []
    const { calls } = setUp([opened(log, '/dev/iommu')])
    calls.close(calls.open('/dev/iommu'))
    calls.open('/dev/iommu', 'ro')
    expect(log).toEqual(['/dev/iommu rw', 'close /dev/iommu', '/dev/iommu r'])
  })
  test('without a node is ENOENT', () => {
    expect(ret(() => setUp([]).calls.open('/dev/iommu'))).toBe('ENOENT')
  })
  test('below a prefix is the prefix’s, unless it has a node of its own', () => {
    const log: string[] = []
    const { calls, host } = setUp([opened(log, '/dev/vfio/'), opened(log, '/dev/vfio/vfio')])
    calls.open('/dev/vfio/devices/vfio0')
    calls.open('/dev/vfio/vfio')
    expect(log).toEqual(['/dev/vfio/devices/vfio0 rw', '/dev/vfio/vfio rw'])
    const files = host.get(Files)
    expect(['/dev/vfio/vfio', '/dev/vfio/vfio0', '/dev/vfio/7'].map((path) => files.exists(path))).toEqual([
      true,
      true,
      false,
    ])
    expect([files.list('/dev/vfio'), files.list('/dev'), ret(() => void files.list('/home'))]).toEqual([
      ['vfio', 'vfio0'],
      ['vfio'],
      'ENOENT',
    ])
  })
  test('can be added once, and taken away', () => {
    const { calls, host } = setUp([])
    const files = host.get(Files)
    const remove = files.add(opened([], '/dev/vfio/12'))
    expect(() => files.add(opened([], '/dev/vfio/12'))).toThrow('/dev/vfio/12 exists')
    remove()
    expect(ret(() => calls.open('/dev/vfio/12'))).toBe('ENOENT')
  })
  test('is root’s unless its mode says otherwise', () => {
    const nodes = [opened([], '/dev/iommu'), opened([], '/dev/vfio/vfio', 0o666), opened([], '/dev/log', 0o604)]
    const { calls } = setUp(nodes, 1000)
    expect([
      ret(() => calls.open('/dev/iommu')),
      ret(() => calls.open('/dev/vfio/vfio')),
      ret(() => calls.open('/dev/log')),
      ret(() => calls.open('/dev/log', 'ro')),
    ]).toEqual(['EACCES', 0, 'EACCES', 1])
  })
})

const text = (bytes: Uint8Array): string => String.fromCharCode(...bytes)

describe('a path of sysfs', () => {
  test('reads on where it stopped, and anew from the start', () => {
    const { calls, host } = setUp([])
    let made = 0
    host.get(Sysfs).addFile('/sys/kernel/x', { show: () => `value ${++made}\n` })
    const fd = calls.open('/sys/kernel/x', 'ro')
    const part = new Uint8Array(4)
    const whole = new Uint8Array(64)
    expect([calls.read(fd, part), text(part), calls.read(fd, whole), text(whole.subarray(0, 4))]).toEqual([
      4,
      'valu',
      4,
      'e 1\n',
    ])
    expect([calls.read(fd, whole), calls.pread(fd, 0, whole), text(whole.subarray(0, 8))]).toEqual([0, 8, 'value 2\n'])
  })
  test('hands a write to the attribute with its caller', () => {
    const { calls, host } = setUp([])
    const seen: unknown[] = []
    host.get(Sysfs).addFile('/sys/kernel/x', { store: (value, caller) => seen.push(value, caller?.process.pid) })
    expect(calls.write(calls.open('/sys/kernel/x', 'wo'), Uint8Array.from([0x41, 0x0a]))).toBe(2)
    expect(seen).toEqual(['A\n', 1])
  })
  test('is EACCES for what the attribute has not, ENOENT and EISDIR as usual', () => {
    const { calls, host } = setUp([])
    const sysfs = host.get(Sysfs)
    sysfs.addFile('/sys/kernel/r', { show: () => '' })
    sysfs.addFile('/sys/kernel/w', { store: () => {} })
    expect([
      ret(() => calls.open('/sys/kernel/r', 'rw')),
      ret(() => calls.open('/sys/kernel/w', 'ro')),
      ret(() => calls.open('/sys/kernel/none', 'ro')),
      ret(() => calls.open('/sys/kernel', 'ro')),
    ]).toEqual(['EACCES', 'EACCES', 'ENOENT', 'EISDIR'])
  })
  test('is written by root alone', () => {
    const { calls, host } = setUp([], 1000)
    host.get(Sysfs).addFile('/sys/kernel/x', { show: () => '', store: () => {} })
    expect([ret(() => calls.open('/sys/kernel/x', 'wo')), ret(() => calls.open('/sys/kernel/x', 'ro'))]).toEqual([
      'EACCES',
      0,
    ])
  })
})
