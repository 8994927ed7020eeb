/** What requests are refused with, VIRTIO 1.2 "5.13.6 Device operations": bytes by hand, after those of the golden tables. */
import { expect, test } from 'vitest'
import { fed, map, REQUESTS, unmap } from './golden.test-kit.ts'

const [PAGE, LAST, NEXT] = ['0000000000009000', '0000000000009fff', '000000000000afff'] as const
const HPA = '0000000000200000'

test.each([
  ['ATTACH with a reserved field that is not zero', ['0100000001000000100000000000000001000000'], [4]],
  ['ATTACH with an unknown flag', ['0100000001000000100000000200000000000000'], [4]],
  ['ATTACH of an endpoint that is not there', ['0100000001000000200000000000000000000000'], [6]],
  ['ATTACH to a domain outside of the range', ['0100000000000100100000000000000000000000'], [5]],
  ['ATTACH as bypass to a domain that is none', ['0100000001000000180000000100000000000000'], [4]],
  ['DETACH from a domain it is not in', ['0200000002000000100000000000000000000000'], [4]],
  ['MAP of a domain that nobody is attached to', [map('3', PAGE, LAST, HPA, '3')], [6]],
  ['MAP with an unknown flag', [map('1', PAGE, LAST, HPA, '8')], [4]],
  ['MAP that ends within a page', [map('1', PAGE, '0000000000009ffe', HPA, '3')], [5]],
  ['MAP above the input range', [map('1', '0001000000000000', '0001000000000fff', HPA, '3')], [5]],
  ['MAP over the window of messages', [map('1', '00000000fee00000', '00000000fee00fff', HPA, '3')], [4]],
  ['MAP over a mapping', [map('1', PAGE, LAST, HPA, '3'), map('1', PAGE, NEXT, HPA, '3')], [0, 4]],
  ['UNMAP that would cut a mapping', [map('1', PAGE, NEXT, HPA, '3'), unmap('1', PAGE, LAST)], [0, 5]],
  ['UNMAP of more than a mapping', [map('1', PAGE, LAST, HPA, '3'), unmap('1', PAGE, NEXT)], [0, 0]],
  ['UNMAP of nothing', [unmap('1', PAGE, LAST)], [0]],
  ['UNMAP of a domain that nobody is attached to', [unmap('3', PAGE, LAST)], [6]],
  ['a type that does not exist: nothing is written', ['0900000001000000100000000000000000000000'], [255]],
  ['a request that is too short: nothing is written', ['01000000010000001000000000000000'], [255]],
] as const)('%s', (_, requests, statuses) => {
  expect(fed([...REQUESTS, ...requests]).statuses.slice(REQUESTS.length)).toEqual(statuses)
})

test('a queue that breaks a rule stops the device until it is reset', () => {
  const { unit, memory, reread } = fed()
  const status = (): bigint => unit.mmio?.load(0x20, 4) ?? 0n
  expect(status()).toBe(0xfn)
  // The index of the available ring runs away.
  memory.write(0x10_1002, Uint8Array.of(0xff, 0xff))
  reread?.()
  unit.mmio?.store(0x20, 4, 0xfn)
  expect(status()).toBe(0x4fn)
  unit.mmio?.store(0x20, 4, 0n)
  expect(status()).toBe(0n)
})

test('FEATURES_OK does not stay for a driver that accepts less than is offered, or more', () => {
  const { unit } = fed()
  const negotiate = (features: bigint): bigint | undefined => {
    unit.mmio?.store(0x20, 4, 0n)
    unit.mmio?.store(0x18, 8, features)
    unit.mmio?.store(0x20, 4, 0xbn)
    return unit.mmio?.load(0x20, 4)
  }
  expect([0x1_0000_0077n, 0x1_0000_0037n, 0x77n, 0x1_0000_007fn].map(negotiate)).toEqual([0xbn, 0x3n, 0x3n, 0x3n])
})

test('a domain that its last endpoint leaves is gone with its mappings', () => {
  const detach = '0200000001000000100000000000000000000000'
  const { statuses } = fed([...REQUESTS, detach, map('1', PAGE, LAST, HPA, '3')])
  expect(statuses.slice(REQUESTS.length)).toEqual([0, 6])
})
