import { expect, test } from 'vitest'
import { createHost } from '../plugin/host.ts'
import { UserFrames } from '../process/frames.ts'
import { Processes } from '../process/process.ts'
import { MemoryFile } from './memory-file.ts'
import { ret } from './rig.test-kit.ts'

function setUp(bytes: number): {
  file: MemoryFile
  caller: { process: ReturnType<typeof spawn> }
  allocated: () => number
} {
  const host = createHost()
  const frames = host.get(UserFrames)
  const process = spawn(host)
  return { file: new MemoryFile(frames, { bytes }), caller: { process }, allocated: () => frames.pinned }
}
const spawn = (host: ReturnType<typeof createHost>) => host.get(Processes).spawn()

test('reads zeros until it is written, and nothing beyond its end', () => {
  const { file, caller } = setUp(6000)
  const into = new Uint8Array(5000).fill(0xee)
  expect([file.pread(caller, 4000n, into), into.subarray(0, 2000).every((b) => b === 0), into[2000]]).toEqual([
    2000,
    true,
    0xee,
  ])
  expect(file.pread(caller, 6000n, into)).toBe(0)
})
test('writes across pages and grows', () => {
  const { file, caller } = setUp(4096)
  const data = Uint8Array.from({ length: 5000 }, (_, i) => i & 0xff)
  expect([file.pwrite(caller, 4090n, data), file.object.bytes]).toEqual([5000, 9090])
  const into = new Uint8Array(5000)
  file.pread(caller, 4090n, into)
  expect(into).toEqual(data)
})
test('is mapped from a page on', () => {
  const { file, caller } = setUp(8192)
  const ask = { bytes: 4096n, read: true, write: true, shared: true }
  expect(file.mmap(caller, { ...ask, offset: 4096n })).toEqual({ kind: 'pages', object: file.object, firstPage: 1 })
  expect(ret(() => void file.mmap(caller, { ...ask, offset: 1n }))).toBe('EINVAL')
})
