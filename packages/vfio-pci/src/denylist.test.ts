import type { PciFunction } from '@ioasis/core'
import { expect, test } from 'vitest'
import { put } from './config/permission.ts'
import { hasBrokenLine, isDenied } from './denylist.ts'

function made(vendor: number, device: number): PciFunction {
  const config = new Uint8Array(256)
  put(config, 0, 2, vendor)
  put(config, 2, 2, device)
  return { config, capability: () => 0 } as unknown as PciFunction
}

test('accelerators with errata are denied, others of the vendor are not', () => {
  expect([made(0x8086, 0x37c8), made(0x8086, 0x10d3), made(0x1234, 0x37c8)].map(isDenied)).toEqual([true, false, false])
})
test('lines of XL710 and X550 are not offered', () => {
  expect([0x1572, 0x1589, 0x158c, 0x1563].map((id) => hasBrokenLine(made(0x8086, id)))).toEqual([
    true,
    true,
    false,
    true,
  ])
})
