import { flushGather } from '@ioasis/core'
import { expect, test } from 'vitest'
import { flushRequests } from './flush.ts'

const limits = { pageSelective: true, maxMask: 18 }
const gather = (first: bigint, last: bigint) => ({ ...flushGather(), first, last })

test('one page is asked for by its address', () => {
  expect(flushRequests(gather(0x5000n, 0x5fffn), 7, limits)).toEqual([
    { kind: 'iotlb', what: 'pages', domain: 7, iova: 0x5000n, order: 0, leafOnly: true },
  ])
})
test('a range across a boundary takes the aligned block that holds it', () => {
  expect(flushRequests(gather(0x3000n, 0x4fffn), 7, limits)).toEqual([
    { kind: 'iotlb', what: 'pages', domain: 7, iova: 0n, order: 3, leafOnly: true },
  ])
})
test('what is wider than the unit takes becomes a flush of the domain', () => {
  const [request] = flushRequests(gather(0n, (1n << 31n) - 1n), 7, limits)
  expect(request).toMatchObject({ kind: 'iotlb', what: 'domain', domain: 7 })
  expect(flushRequests(gather(0n, 0xfffn), 7, { ...limits, pageSelective: false })[0]).toMatchObject({ what: 'domain' })
})
test('tables that became empty are forgotten along', () => {
  const [request] = flushRequests({ ...gather(0n, 0x1f_ffffn), tables: [0x10_0000] }, 7, limits)
  expect(request).toMatchObject({ order: 9, leafOnly: false })
})
test('nothing unmapped asks nothing', () => {
  expect(flushRequests(flushGather(), 7, limits)).toEqual([])
})
