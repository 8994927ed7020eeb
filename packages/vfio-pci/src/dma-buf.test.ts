import { fileAt, isDmaBuf } from '@ioasis/core'
import { VFIO_DEVICE_FEATURE } from '@ioasis/uapi'
import { expect, test } from 'vitest'
import { BAR, openedWorld } from './world.test-kit.ts'

function opened() {
  const world = openedWorld({ bars: ['memory', 'io'] })
  const ask = (head: readonly number[], ...ranges: readonly bigint[]) => {
    const payload = new Uint8Array(16 + 8 * ranges.length)
    const view = new DataView(payload.buffer)
    head.forEach((value, i) => view.setUint32(4 * i, value, true))
    ranges.forEach((value, i) => view.setBigUint64(16 + 8 * i, value, true))
    return world.vmm.attempt(world.fd, VFIO_DEVICE_FEATURE, { flags: 0x10000 | 11 }, payload)
  }
  return { ...world, ask }
}

test('a part of a BAR as a file, with its place', () => {
  const { ask, vmm, config } = opened()
  config.write(0x04, 2, 2)
  const { ret } = ask([0, 2, 0, 1], 0x1000n, 0x1000n)
  const file = fileAt(vmm.caller, ret)
  expect(isDmaBuf(file) && [file.dmaBuf.ranges, file.dmaBuf.bytes, file.dmaBuf.revoked]).toEqual([
    [{ hpa: BAR.memory + 0x1000, bytes: 0x1000 }],
    0x1000n,
    false,
  ])
})
test('it is taken back while memory is off, and for good with the device', () => {
  const { ask, vmm, fd, config } = opened()
  config.write(0x04, 2, 2)
  const file = fileAt(vmm.caller, ask([0, 2, 0, 1], 0n, 0x1000n).ret)
  if (!isDmaBuf(file)) throw new Error('no dma-buf')
  const told: boolean[] = []
  file.dmaBuf.onRevoke((revoked) => told.push(revoked))
  config.write(0x04, 2, 0)
  config.write(0x04, 2, 2)
  vmm.close(fd)
  expect([told, file.dmaBuf.revoked]).toEqual([[true, false, true], true])
})
test('it cannot be mapped into memory', () => {
  const { ask, vmm, config } = opened()
  config.write(0x04, 2, 2)
  const { ret } = ask([0, 2, 0, 1], 0n, 0x1000n)
  expect(() => vmm.mmap({ bytes: 0x1000, fd: ret, shared: true })).toThrow('EINVAL')
})
test.each([
  ['no range', [0, 2, 0, 0], [], 'EINVAL'],
  ['flags', [0, 2, 1, 1], [0n, 0x1000n], 'EINVAL'],
  ['an empty range', [0, 2, 0, 1], [0n, 0n], 'EINVAL'],
  ['a part of a page', [0, 2, 0, 1], [0n, 0x800n], 'EINVAL'],
  ['beyond the end', [0, 2, 0, 1], [0x1000n, 0x2000n], 'EINVAL'],
  ['a wrapping range', [0, 2, 0, 1], [0xffff_ffff_ffff_f000n, 0x1000n], 'EOVERFLOW'],
  ['more ranges than the kernel has room for', [0, 2, 0, 0x10_0000], [], 'ENOMEM'],
  ['more bytes than there can be', [0, 2, 0, 2], [0n, 1n << 62n, 0n, 1n << 62n], 'EINVAL'],
  ['a region that is no BAR', [9, 2, 0, 1], [0n, 0x1000n], 'ENODEV'],
  ['ports', [1, 2, 0, 1], [0n, 0x1000n], 'EINVAL'],
] as const)('refuses %s', (_what, head, ranges, errno) => {
  expect(opened().ask(head, ...ranges).errno).toBe(errno)
})
