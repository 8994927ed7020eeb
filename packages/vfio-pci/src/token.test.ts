import type { PciFunction } from '@ioasis/core'
import { expect, test } from 'vitest'
import { checkToken, matchesName, type TokenSide, VfToken } from './token.ts'

const NAME = '0000:05:00.0'
const UUID = '00112233-4455-6677-8899-aabbccddeeff'
const BYTES = Uint8Array.from({ length: 16 }, (_, i) => i * 0x11)

const side = (own?: VfToken, physical?: VfToken, virtual = false): TokenSide => ({
  fn: { name: NAME, ...(virtual && { virtfn: {} }) } as PciFunction,
  own,
  physical,
})

test('a function goes by its exact name', () => {
  const names = [NAME, '0000:05:00', '0000:05:00.1', `${NAME}x`]
  expect(names.map((text) => matchesName(side(), text))).toEqual([true, false, false, false])
})
test('a token behind the name is set on a physical function that nobody uses', () => {
  const own = new VfToken(1)
  expect([own.is(BYTES), matchesName(side(own), `${NAME} vf_token=${UUID}`), own.is(BYTES)]).toEqual([
    false,
    true,
    true,
  ])
})
test('while a virtual function is used the token must be shown', () => {
  const own = new VfToken(1)
  own.set(BYTES)
  own.users = 1
  expect(() => checkToken(side(own), undefined)).toThrow('EACCES')
  checkToken(side(own), BYTES)
})
test.each([
  ['without a token', undefined, 'EACCES'],
  ['with another one', new Uint8Array(16), 'EACCES'],
])('a virtual function is not opened %s', (_what, uuid, errno) => {
  expect(() => checkToken(side(undefined, new VfToken(1), true), uuid)).toThrow(errno)
})
test('a virtual function of another driver’s knows no token', () => {
  checkToken(side(undefined, undefined, true), undefined)
  expect(() => checkToken(side(undefined, undefined, true), BYTES)).toThrow('EINVAL')
})
test.each([
  ['a token where there are none', false, `vf_token=${UUID}`],
  ['something that is no token', true, 'vf_token=junk'],
  ['another option', true, 'bogus=1'],
  ['two tokens', true, `vf_token=${UUID} vf_token=${UUID}`],
])('refuses %s', (_what, physical, option) => {
  expect(() => matchesName(side(physical ? new VfToken(1) : undefined), `${NAME} ${option}`)).toThrow('EINVAL')
})
test('first tokens are UUIDs of version 4, and differ', () => {
  expect(new VfToken(1).is(BYTES)).toBe(false)
  expect([0, 1, 2].filter((seed) => new VfToken(seed).is(new Uint8Array(16)))).toEqual([])
})
