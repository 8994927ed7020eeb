import { expect, test } from 'vitest'
import { hwInfo } from './hw-info.ts'

const FEATURES = { efr: 0x29d3n, efr2: 8n }

test('the feature registers, for AMD’s type and for none', () => {
  const bytes = [0xd3, 0x29, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]
  expect([...hwInfo(0, FEATURES).bytes]).toEqual(bytes)
  expect(hwInfo(4, FEATURES).type).toBe(4)
})
test('another type is refused', () => {
  expect(() => hwInfo(1, FEATURES)).toThrow('EOPNOTSUPP')
})
