import type { PciFunction } from '@ioasis/core'
import { expect, test } from 'vitest'
import { VfToken } from './token.ts'

const token = (sriov: number): VfToken =>
  new VfToken({ name: '0000:05:00.0', extendedCapability: () => sriov } as unknown as PciFunction)
const UUID = '00112233-4455-6677-8899-aabbccddeeff'

test('a function goes by its exact name', () => {
  const plain = token(0)
  expect(['0000:05:00.0', '0000:05:00', '0000:05:00.1', '0000:05:00.0x'].map((text) => plain.matches(text))).toEqual([
    true,
    false,
    false,
    false,
  ])
})
test('a token behind the name is set on a physical function', () => {
  const physical = token(0x160)
  expect([physical.matches(`0000:05:00.0 vf_token=${UUID}`), physical.uuid[1], physical.uuid[15]]).toEqual([
    true,
    0x11,
    0xff,
  ])
})
test.each([
  ['a token where there are none', 0, `vf_token=${UUID}`],
  ['something that is no token', 0x160, 'vf_token=junk'],
  ['another option', 0x160, 'bogus=1'],
  ['two tokens', 0x160, `vf_token=${UUID} vf_token=${UUID}`],
])('refuses %s', (_what, sriov, option) => {
  expect(() => token(sriov).matches(`0000:05:00.0 ${option}`)).toThrow('EINVAL')
})
