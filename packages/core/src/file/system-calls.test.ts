import { describe, expect, test } from 'vitest'
import { UapiError } from '../errno.ts'
import { createHost } from '../plugin/host.ts'
import { Processes, type ProcessOptions } from '../process/process.ts'
import { EventFd } from '../wait.ts'
import { eventAt } from './event-file.ts'
import { type FileOps } from './file-ops.ts'
import { POLL } from '../wait.ts'
import type { TrappedWindow } from '../memory/backing.ts'
import { ret } from './rig.test-kit.ts'
import { SystemCalls } from './system-calls.ts'

const PAGE = 4096n
const setUp = (options: ProcessOptions = {}): SystemCalls => {
  const host = createHost()
  return new SystemCalls(host, host.get(Processes).spawn(options))
}
const bytesOf = (...values: number[]): Uint8Array => Uint8Array.from(values)

describe('a file without an operation answers as Linux does', () => {
  test('for each operation', () => {
    const calls = setUp()
    const fd = calls.adopt({ release: () => {} })
    const buffer = new Uint8Array(8)
    expect([
      ret(() => calls.ioctl(fd, 1)),
      ret(() => calls.read(fd, buffer)),
      ret(() => calls.write(fd, buffer)),
      ret(() => calls.pread(fd, 0, buffer)),
      ret(() => calls.pwrite(fd, 0, buffer)),
      ret(() => calls.mmap({ bytes: PAGE, fd })),
      calls.poll([{ fd, events: POLL.IN | POLL.OUT }]),
    ]).toEqual(['ENOTTY', 'EINVAL', 'EINVAL', 'EINVAL', 'EINVAL', 'ENODEV', [POLL.IN | POLL.OUT]])
  })
  test('a stream is ESPIPE for pread and pwrite', () => {
    const calls = setUp()
    const fd = calls.eventfd()
    const buffer = new Uint8Array(8)
    expect([ret(() => calls.pread(fd, 0, buffer)), ret(() => calls.pwrite(fd, 8, buffer))]).toEqual([
      'ESPIPE',
      'ESPIPE',
    ])
  })
})

describe('read and write', () => {
  test('go on where they stopped for a file that has places, shared by its duplicates', () => {
    const calls = setUp()
    const fd = calls.memfd(64)
    calls.write(fd, bytesOf(1, 2, 3))
    calls.write(calls.dup(fd), bytesOf(4))
    const into = new Uint8Array(6)
    expect([calls.pread(fd, 0, into), [...into]]).toEqual([6, [1, 2, 3, 4, 0, 0]])
  })
  test('need the access the descriptor has', () => {
    const calls = setUp()
    const file: FileOps = { read: () => 0, write: () => 0, pread: () => 0, pwrite: () => 0, release: () => {} }
    const only = calls.fds.install(file, { mode: { read: true, write: false } })
    expect([
      ret(() => calls.read(only, bytesOf())),
      ret(() => calls.write(only, bytesOf())),
      ret(() => calls.pwrite(only, 0, bytesOf())),
      ret(() => calls.pread(only, -1, bytesOf())),
    ]).toEqual([0, 'EBADF', 'EBADF', 'EINVAL'])
  })
  test('through a user buffer fault where it cannot be reached', () => {
    const calls = setUp()
    const fd = calls.memfd(64)
    calls.pwrite(fd, 0, bytesOf(7, 8))
    const uva = calls.mmap({ bytes: PAGE })
    expect([calls.readTo(fd, uva, 2, 0), [...calls.peek(uva, 2)]]).toEqual([2, [7, 8]])
    expect([calls.writeFrom(fd, uva + 1n, 1, 0), ret(() => calls.readTo(fd, 0x1000n, 2, 0))]).toEqual([1, 'EFAULT'])
    expect(ret(() => calls.writeFrom(fd, 0x1000n, 2, 0))).toBe('EFAULT')
  })
  test('of a file that takes pieces go as far as the user buffer does', () => {
    const calls = setUp()
    const uva = calls.mmap({ bytes: PAGE })
    calls.poke(uva, bytesOf(1, 2, 3))
    const taken: (number[] | undefined)[] = []
    const file: FileOps = {
      readPieces: (_caller, bytes, hand) => (hand(bytesOf(7)) && hand(bytesOf(8, 9)) ? bytes : -1),
      writePieces(_caller, bytes, take) {
        for (let i = 0; i < bytes; i += 2) taken.push([...(take(2) ?? [])])
        return bytes
      },
      release: () => {},
    }
    const fd = calls.adopt(file)
    expect([calls.readTo(fd, uva + 3n, 3), [...calls.peek(uva, 6)]]).toEqual([3, [1, 2, 3, 7, 8, 9]])
    expect(calls.readTo(fd, uva + PAGE - 2n, 3)).toBe(-1)
    calls.writeFrom(fd, uva + PAGE - 2n, 4)
    calls.writeFrom(fd, uva, 2)
    expect(taken).toEqual([[7, 8], [], [1, 2]])
  })
  test('of an eventfd count, and would block when there is nothing', () => {
    const calls = setUp()
    const fd = calls.eventfd(3n)
    const into = new Uint8Array(8)
    expect([calls.read(fd, into), into[0], ret(() => calls.read(fd, into))]).toEqual([8, 3, 'EAGAIN'])
  })
})

describe('poll', () => {
  test('tells what is ready of what was asked, and of bad descriptors', () => {
    const calls = setUp()
    const fd = calls.eventfd()
    const ask = (): readonly number[] =>
      calls.poll([
        { fd, events: POLL.IN },
        { fd: 9, events: POLL.IN },
        { fd: -1, events: POLL.IN },
      ])
    expect(ask()).toEqual([0, POLL.NVAL, 0])
    eventAt(calls.caller, fd).signal()
    expect(ask()).toEqual([POLL.IN, POLL.NVAL, 0])
  })
})

describe('an eventfd', () => {
  test('is found by descriptor; other files are EINVAL', () => {
    const calls = setUp()
    const fd = calls.eventfd()
    expect(eventAt(calls.caller, fd)).toBeInstanceOf(EventFd)
    expect([ret(() => void eventAt(calls.caller, calls.memfd(1))), ret(() => void eventAt(calls.caller, 77))]).toEqual([
      'EINVAL',
      'EBADF',
    ])
  })
})

describe('a mapping', () => {
  test('of a memfd is its pages, shared or copied on write', () => {
    const calls = setUp()
    const fd = calls.memfd(8192)
    calls.pwrite(fd, 4096, bytesOf(5))
    const shared = calls.mmap({ bytes: PAGE, fd, offset: PAGE })
    const copy = calls.mmap({ bytes: PAGE, fd, offset: PAGE, shared: false })
    calls.memWrite(shared, 1, 6n)
    expect(calls.memRead(copy, 1)).toBe(6n)
    calls.memWrite(copy, 1, 9n)
    const into = new Uint8Array(1)
    calls.pread(fd, 4096, into)
    expect([into[0], calls.memRead(shared, 1), calls.memRead(copy, 1)]).toEqual([6, 6n, 9n])
  })
  test('raises SIGSEGV where nothing is mapped or not so, SIGBUS where nothing answers', () => {
    const calls = setUp()
    const fd = calls.memfd(4096)
    const file = calls.mmap({ bytes: 2n * PAGE, fd })
    const ro = calls.mmap({ bytes: PAGE, write: false })
    const none = calls.mmap({ bytes: PAGE, read: false, write: false })
    expect([
      calls.memRead(0n, 4),
      calls.memWrite(ro, 4, 1n),
      calls.memRead(ro, 8),
      calls.memRead(none, 1),
      calls.memRead(file + PAGE, 4),
      calls.memWrite(file + PAGE, 4, 1n),
    ]).toEqual(['SIGSEGV', 'SIGSEGV', 0n, 'SIGSEGV', 'SIGBUS', 'SIGBUS'])
  })
  test('of registers traps each access with its width, and raises SIGBUS while it is revoked', () => {
    const calls = setUp()
    const log: unknown[] = []
    let revoked = false
    const window: TrappedWindow = {
      bytes: 8192,
      load: (offset, size) => (revoked ? undefined : BigInt(log.push(['load', offset, size]))),
      store: (offset, size, value) => !revoked && log.push(['store', offset, size, value]) > 0,
      hpa: undefined,
      onRevoke: () => () => {},
    }
    const mmap: FileOps['mmap'] = (_caller, { offset }) => ({ kind: 'window', window, offset: Number(offset) })
    const uva = calls.mmap({ bytes: PAGE, fd: calls.adopt({ mmap, release: () => {} }), offset: PAGE })
    expect([calls.memRead(uva + 8n, 8), calls.memWrite(uva + 4n, 4, 0xdead_beefn)]).toEqual([1n, undefined])
    expect(log).toEqual([
      ['load', 0x1008, 8],
      ['store', 0x1004, 4, 0xdead_beefn],
    ])
    revoked = true
    expect([calls.memRead(uva, 4), calls.memWrite(uva, 4, 0n)]).toEqual(['SIGBUS', 'SIGBUS'])
  })
  test('holds its file until its last part is gone, in a child too', () => {
    const calls = setUp()
    let released = false
    const window: TrappedWindow = {
      bytes: 8192,
      load: () => 1n,
      store: () => true,
      hpa: undefined,
      onRevoke: () => () => {},
    }
    const mmap: FileOps['mmap'] = () => ({ kind: 'window', window })
    const fd = calls.adopt({ mmap, release: () => void (released = true) })
    const uva = calls.mmap({ bytes: 2n * PAGE, fd })
    calls.close(fd)
    calls.munmap(uva, PAGE)
    const child = calls.fork()
    calls.munmap(uva + PAGE, PAGE)
    expect([released, child.memRead(uva + PAGE, 4)]).toEqual([false, 1n])
    child.exit()
    expect(released).toBe(true)
  })
  test('needs a descriptor that may read, and may write for shared writing', () => {
    const calls = setUp()
    const file = calls.fds.open(calls.memfd(4096)).ops
    const ro = calls.fds.install(file, { mode: { read: true, write: false } })
    const wo = calls.fds.install(file, { mode: { read: false, write: true } })
    expect([
      ret(() => calls.mmap({ bytes: PAGE, fd: ro })),
      ret(() => calls.mmap({ bytes: PAGE, fd: wo })),
      ret(() => calls.mmap({ bytes: PAGE, fd: 99 })),
      ret(() => calls.mmap({ bytes: PAGE, fd: ro, write: false, offset: 1n })),
      typeof calls.mmap({ bytes: PAGE, fd: ro, shared: false }),
    ]).toEqual(['EACCES', 'EACCES', 'EBADF', 'EINVAL', 'bigint'])
  })
  test('goes with munmap, and comes where it is asked for', () => {
    const calls = setUp()
    const uva = calls.mmap({ bytes: PAGE, uva: 0x2000_0000_0000n })
    calls.memWrite(uva, 8, (1n << 64n) - 1n)
    expect([uva, calls.memRead(uva, 8)]).toEqual([0x2000_0000_0000n, (1n << 64n) - 1n])
    calls.munmap(uva, PAGE)
    expect(calls.memRead(uva, 8)).toBe('SIGSEGV')
  })
})

describe('fork and exit', () => {
  test('give the child the same files and release them with the last', () => {
    const calls = setUp()
    let released = 0
    const fd = calls.adopt({ release: () => released++ })
    const child = calls.fork()
    expect(child.fds.get(fd)).toBe(calls.fds.get(fd))
    calls.exit()
    expect([released, calls.process.alive]).toEqual([0, false])
    child.exit()
    expect(released).toBe(1)
  })
})

test('an observer is told of each ioctl and how it ended', () => {
  const calls = setUp()
  const log: unknown[] = []
  calls.observer = {
    ioctl: (_caller, fd, number, arg) => (result) =>
      log.push([fd, number, arg, result instanceof UapiError ? result.errno : result]),
  }
  const fd = calls.adopt({ ioctl: (_caller, number) => number, release: () => {} })
  calls.ioctl(fd, 5, -1)
  expect([ret(() => calls.ioctl(9, 6)), log]).toEqual([
    'EBADF',
    [
      [fd, 5, (1n << 64n) - 1n, 5],
      [9, 6, 0n, 'EBADF'],
    ],
  ])
})
