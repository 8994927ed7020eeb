import { expect, test } from 'vitest'
import { qemuUnit } from './qemu-unit.ts'

test('shows the registers that QEMU 11.1 was seen to show', () => {
  expect(qemuUnit({ intremap: 'on' })).toEqual({ cap: 0x80d2_008c_222f_0606n, ecap: 0xf0_0f4an, haw: 48 })
  expect(qemuUnit({ 'scalable-mode': 'on' })).toMatchObject({ cap: 0x80d2_008c_222f_0606n, ecap: 0x4800_8000_0f42n })
  expect(qemuUnit({ 'scalable-mode': 'on', fsts: 'on' })).toMatchObject({
    cap: 0x81d2_008c_222f_0606n,
    ecap: 0x8800_0000_0f42n,
  })
  expect(qemuUnit({ 'scalable-mode': 'on', fsts: 'on', fs1gp: 'off' }).cap).toBe(0x80d2_008c_222f_0606n)
  expect(qemuUnit({ 'caching-mode': 'on' }).cap & 0xffn).toBe(0x86n)
  expect(qemuUnit({ 'device-iotlb': 'on', 'snoop-control': 'on' }).ecap).toBe(0xfc6n)
  expect(qemuUnit({ 'aw-bits': 39 })).toMatchObject({ cap: 0x80d2_008c_2226_0206n, haw: 39 })
})
test('refuses the widths that QEMU refuses', () => {
  expect(() => qemuUnit({ 'aw-bits': 57 })).toThrow('aw-bits=57 is neither 39 nor 48')
})
