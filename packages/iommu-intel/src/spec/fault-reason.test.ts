import { expect, test } from 'vitest'
import { REASON, reasonText } from './fault-reason.ts'

test('every reason has words', () => {
  expect(
    Object.values(REASON)
      .map(reasonText)
      .filter((text) => text.startsWith('reason')),
  ).toEqual([])
  expect(reasonText(0x99)).toBe('reason 0x99')
})
test('the numbers are those that Linux prints', () => {
  expect(REASON).toMatchObject({
    CONTEXT_NOT_PRESENT: 2,
    WRITE: 5,
    READ: 6,
    PTE_RESERVED: 12,
    INTERRUPT_OUTPUT: 14,
    MODE_PASID: 0x31,
  })
})
