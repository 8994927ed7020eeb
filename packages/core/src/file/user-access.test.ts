import { expect, test } from 'vitest'
import { createHost } from '../plugin/host.ts'
import { Processes } from '../process/process.ts'
import { access } from './user-access.ts'

test('an access reads what another one wrote, little-endian, at any width', () => {
  const { addressSpace } = createHost().get(Processes).spawn()
  const uva = addressSpace.mmap({ bytes: 4096 })
  expect(access(addressSpace, uva, 8, 0x8877_6655_4433_2211n)).toBe(0x8877_6655_4433_2211n)
  expect(([1, 2, 4, 8] as const).map((width) => access(addressSpace, uva, width, undefined))).toEqual([
    0x11n,
    0x2211n,
    0x4433_2211n,
    0x8877_6655_4433_2211n,
  ])
})
test('an access that runs off its mapping raises the signal of the byte that fails', () => {
  const { addressSpace } = createHost().get(Processes).spawn()
  const uva = addressSpace.mmap({ bytes: 4096, uva: 0x1000_0000n })
  expect([access(addressSpace, uva + 4092n, 8, undefined), access(addressSpace, uva + 4095n, 2, 0n)]).toEqual([
    'SIGSEGV',
    'SIGSEGV',
  ])
  expect([access(addressSpace, -8n, 8, undefined), access(addressSpace, (1n << 64n) - 8n, 8, 1n)]).toEqual([
    'SIGSEGV',
    'SIGSEGV',
  ])
})
