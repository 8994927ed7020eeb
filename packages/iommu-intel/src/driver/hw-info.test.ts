import { expect, test } from 'vitest'
import { hwInfoBytes } from './hw-info.ts'

test('flags, reserved word, CAP and ECAP stand where the uAPI header puts them', () => {
  const bytes = hwInfoBytes(0x80d2_008c_222f_0606n, 0xf0_0fcan)
  expect([...bytes].map((b) => b.toString(16).padStart(2, '0')).join('')).toBe(
    '010000000000000006062f228c00d280ca0ff00000000000',
  )
})
