import type { VfioDmaLogging } from '@ioasis/core'
import {
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_DEVICE_FEATURE,
  VFIO_DEVICE_FEATURE_FLAG,
  VFIO_FEATURE,
  vfioDmaLoggingControl,
  vfioDmaLoggingReport,
} from '@ioasis/uapi'
import { expect, test } from 'vitest'
import { SpaceFile, vfioWorld } from './world.test-kit.ts'

const { GET, SET } = VFIO_DEVICE_FEATURE_FLAG
const { DMA_LOGGING_START, DMA_LOGGING_STOP, DMA_LOGGING_REPORT } = VFIO_FEATURE

/** Logs in pages of 64 KiB at least, and says that pages 1 and 9 of 4 KiB were written. */
class Logger implements VfioDmaLogging {
  readonly log: string[] = []
  start(ranges: readonly { first: bigint; last: bigint }[], pageSize: bigint): bigint {
    this.log.push(ranges.map(({ first, last }) => `${first}-${last}`).join(' '))
    return pageSize > 0x10000n ? pageSize : 0x10000n
  }
  stop(): void {
    this.log.push('stop')
  }
  report(first: bigint, _bytes: bigint, dirty: (first: bigint, bytes: bigint) => void): void {
    dirty(first + 0x1000n, 0x1000n)
    dirty(first + 0x9000n, 0x800n)
  }
}

function bound() {
  const world = vfioWorld()
  const logger = new Logger()
  Object.assign(world.add('00:01.0'), { dmaLogging: logger })
  const { vmm } = world
  const file = vmm.open('/dev/vfio/devices/vfio0')
  vmm.ioctl(file, VFIO_DEVICE_BIND_IOMMUFD, { iommufd: vmm.adopt(new SpaceFile()) })
  const memory = vmm.mmap({ bytes: 8192 })
  const ask = (flags: number, payload: Uint8Array) => vmm.attempt(file, VFIO_DEVICE_FEATURE, { flags }, payload)
  const start = (ranges: readonly bigint[], page_size = 0x1000n, num_ranges = ranges.length / 2) => {
    vmm.poke(memory, new Uint8Array(new BigUint64Array(ranges).buffer))
    return ask(SET | DMA_LOGGING_START, vfioDmaLoggingControl.make({ page_size, num_ranges, ranges: memory }))
  }
  return { vmm, logger, memory, ask, start }
}

test('ranges are given in order, and the page size it will be is told', () => {
  const { start, logger, ask } = bound()
  const { errno, bytes } = start([0x4000n, 0x1000n, 0x1000n, 0x2000n])
  expect([errno, logger.log, vfioDmaLoggingControl.decode(bytes.slice(8)).page_size]).toEqual([
    undefined,
    ['4096-12287 16384-20479'],
    0x10000n,
  ])
  expect([ask(SET | DMA_LOGGING_STOP, new Uint8Array(0)).errno, logger.log.at(-1)]).toEqual([undefined, 'stop'])
})
test.each([
  ['no range', [], 0, 'EINVAL'],
  ['more ranges than a page holds', [], 257, 'E2BIG'],
  ['a range off its page', [0x800n, 0x1000n], 1, 'EINVAL'],
  ['a range that wraps', [0xffff_ffff_ffff_f000n, 0x2000n], 1, 'EOVERFLOW'],
  ['ranges that overlap', [0x1000n, 0x2000n, 0x2000n, 0x1000n], 2, 'EINVAL'],
])('refuses %s', (_what, ranges, count, errno) => {
  const { start, logger } = bound()
  expect([start(ranges, 0x1000n, count).errno, logger.log]).toEqual([errno, []])
})
test('a report sets bits and clears none', () => {
  const { vmm, memory, ask } = bound()
  vmm.poke(memory, Uint8Array.of(0x80, 0))
  const report = { iova: 0x10000n, length: 0x10000n, page_size: 0x1000n, bitmap: memory }
  expect(ask(GET | DMA_LOGGING_REPORT, vfioDmaLoggingReport.make(report)).errno).toBeUndefined()
  expect([...vmm.peek(memory, 2)]).toEqual([0x82, 0x02])
})
test.each([
  ['a small page', { page_size: 0x800n }, 'EINVAL'],
  ['a page that is no power of two', { page_size: 0x3000n }, 'EINVAL'],
  ['a range that wraps', { iova: 0xffff_ffff_ffff_f000n, length: 0x1000n }, 'EOVERFLOW'],
])('a report refuses %s', (_what, values, errno) => {
  const { memory, ask } = bound()
  const report = { iova: 0x10000n, length: 0x10000n, page_size: 0x1000n, bitmap: memory, ...values }
  expect(ask(GET | DMA_LOGGING_REPORT, vfioDmaLoggingReport.make(report)).errno).toBe(errno)
})
test('bits for a bitmap that is not there are lost, which is no error', () => {
  const { memory, vmm, ask } = bound()
  const report = { iova: 0x10000n, length: 0x10000n, page_size: 0x1000n, bitmap: 0n }
  expect(ask(GET | DMA_LOGGING_REPORT, vfioDmaLoggingReport.make(report)).errno).toBeUndefined()
  expect([...vmm.peek(memory, 2)]).toEqual([0, 0])
})
