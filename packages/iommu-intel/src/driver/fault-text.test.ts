import { bdf, NO_PASID } from '@ioasis/core'
import { expect, test } from 'vitest'
import { faultLine, faultReason } from './fault-text.ts'

const fault = { segment: 0, requester: bdf(4, 0, 0), reason: 2, write: false, pasid: NO_PASID, iova: 0x60_0000n }

test('prints the line a recorded kernel printed', () => {
  expect(faultLine(fault)).toBe(
    'DMAR: [DMA Read NO_PASID] Request device [0000:04:00.0] fault addr 0x600000 [fault reason 0x02] Present bit in context entry is clear',
  )
  expect(faultLine({ ...fault, requester: bdf(0, 1, 0), write: true, reason: 0x5b, iova: 0x10_3000n })).toBe(
    'DMAR: [DMA Write NO_PASID] Request device [0000:00:01.0] fault addr 0x103000 [fault reason 0x5b] SM: Invalid Scalable-Mode PASID Table Entry',
  )
})

test('names a PASID and the index of a refused interrupt', () => {
  expect(faultLine({ ...fault, pasid: 0x12 })).toContain('[DMA Read PASID 0x12]')
  expect(faultLine({ ...fault, reason: 0x22, iova: 0x7n << 48n })).toBe(
    'DMAR: [INTR-REMAP] Request device [0000:04:00.0] fault index 0x7 [fault reason 0x22] Present field in the IRTE entry is clear',
  )
})

test('reasons nobody defined are unknown', () => {
  expect([0x0e, 0x27, 0x33, 0xff].map(faultReason)).toEqual(['Unknown', 'Unknown', 'Unknown', 'Unknown'])
})
