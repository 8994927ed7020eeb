import { describe, expect, test } from 'vitest'
import { createHost } from '../plugin/host.ts'
import { type Process, Processes } from '../process/process.ts'
import { FdTable, fileAt, holdFile, installFile } from './fd-table.ts'
import type { FileOps } from './file-ops.ts'
import { ret } from './rig.test-kit.ts'

function setUp(nofile = 1024): {
  readonly process: Process
  readonly log: string[]
  readonly file: (name: string) => FileOps
} {
  const process = createHost().get(Processes).spawn({ limits: { nofile } })
  const log: string[] = []
  const file = (name: string): FileOps => ({
    flush: (caller) => log.push(`flush ${name} by ${caller.process.pid}`),
    release: () => log.push(`release ${name}`),
  })
  return { process, log, file }
}

describe('a descriptor', () => {
  test('gets the lowest free number', () => {
    const { process, file } = setUp()
    const caller = { process }
    expect([installFile(caller, file('a')), installFile(caller, file('b'))]).toEqual([0, 1])
    FdTable.of(process).close(0, caller)
    expect(installFile(caller, file('c'))).toBe(0)
  })
  test('that stands for nothing is EBADF', () => {
    const { process } = setUp()
    const caller = { process }
    expect([-1, 0, 7].map((fd) => ret(() => void fileAt(caller, fd)))).toEqual(['EBADF', 'EBADF', 'EBADF'])
    expect(ret(() => FdTable.of(process).close(0, caller))).toBe('EBADF')
  })
  test('beyond RLIMIT_NOFILE is EMFILE, and the file is released', () => {
    const { process, log, file } = setUp(1)
    installFile({ process }, file('a'))
    expect([ret(() => installFile({ process }, file('b'))), log]).toEqual(['EMFILE', ['release b']])
  })
})

describe('an open file', () => {
  test('is released with its last descriptor, and flushed with each', () => {
    const { process, log, file } = setUp()
    const table = FdTable.of(process)
    const first = table.install(file('a'))
    const second = table.dup(first)
    expect(table.get(second)).toBe(table.get(first))
    table.close(first, { process })
    expect(log).toEqual(['flush a by 1'])
    table.close(second, { process })
    expect(log).toEqual(['flush a by 1', 'flush a by 1', 'release a'])
  })
  test('lives while the kernel holds it', () => {
    const { process, log, file } = setUp()
    const fd = installFile({ process }, file('a'))
    const held = holdFile({ process }, fd)
    FdTable.of(process).close(fd, { process })
    expect([log, held.references]).toEqual([['flush a by 1'], 1])
    held.put()
    expect(log).toEqual(['flush a by 1', 'release a'])
    expect(() => held.put()).toThrow('put without get')
  })
  test('is shared with a child, and closed by each for itself', () => {
    const { process, log, file } = setUp()
    const fd = installFile({ process }, file('a'))
    const child = process.fork()
    expect(fileAt({ process: child }, fd)).toBe(fileAt({ process }, fd))
    process.exit()
    expect(log).toEqual(['flush a by 1'])
    child.exit()
    expect(log).toEqual(['flush a by 1', 'flush a by 2', 'release a'])
  })
  test('opened with O_CLOEXEC is closed by exec, others stay', () => {
    const { process, log, file } = setUp()
    installFile({ process }, file('a'), { cloexec: true })
    installFile({ process }, file('b'))
    process.exec('other')
    expect([log, FdTable.of(process).all.map(({ fd }) => fd)]).toEqual([['flush a by 1', 'release a'], [1]])
  })
})

test('a file for which a test leaves no memory is released, and has no number', () => {
  const { process, log, file } = setUp()
  const { failures } = process.addressSpace.frames
  failures.arm(1)
  expect(ret(() => void installFile({ process }, file('a')))).toBe('ENOMEM')
  failures.disarm()
  expect([log, installFile({ process }, file('b'))]).toEqual([['release a'], 0])
})
