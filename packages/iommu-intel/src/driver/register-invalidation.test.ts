import { bdf, type MmioWindow } from '@ioasis/core'
import { expect, test } from 'vitest'
import { contextOf, translationsOf } from './invalidation.ts'
import { bareMachine } from './machine.test-kit.ts'
import { RegisterInvalidation } from './register-invalidation.ts'
import { unitCapabilities } from './unit-capabilities.ts'
import { UnitRegisters } from './unit-registers.ts'

const BASE = 0xfed9_0000

/** Takes each command, and answers with the granularity it was asked for or with none. */
function bench(grants = true): { invalidation: RegisterInvalidation; stores: [number, bigint][] } {
  const machine = bareMachine()
  const stores: [number, bigint][] = []
  const window: MmioWindow = {
    load: () => (grants ? 0x0a00_0000n | 0x0800_0000n | 0x1000_0000n : 0n),
    store: (offset, _size, value) => void stores.push([offset, value]),
  }
  machine.memory.addMmio(BASE, 4096, window)
  const { cpu, pages } = machine
  const parts = { unit: 'dmar0', registers: new UnitRegisters(cpu, BASE), cpu, pages }
  const capabilities = unitCapabilities(0x80d2_008c_222f_0606n, 0xf48n)
  return { invalidation: new RegisterInvalidation({ ...parts, capabilities }), stores }
}

test('a context entry is named in CCMD', () => {
  const { invalidation, stores } = bench()
  invalidation.submit([contextOf(5, bdf(0, 3, 1))])
  expect(stores).toEqual([[0x28, 0xe000_0000_0019_0005n]])
  expect(invalidation.refused).toBe(0)
})
test('a domain is named in the IOTLB register, pages in the one before it', () => {
  const { invalidation, stores } = bench()
  invalidation.submit([
    translationsOf(5),
    { kind: 'iotlb', what: 'pages', domain: 5, iova: 0x20_0000n, order: 9, leafOnly: true },
  ])
  expect(stores).toEqual([
    [0xf8, 0xa001_0005_0000_0000n],
    [0xf0, 0x20_0049n],
    [0xf8, 0xb001_0005_0000_0000n],
  ])
})
test('a command that was granted nothing is counted', () => {
  const { invalidation } = bench(false)
  invalidation.submit([contextOf(5, bdf(0, 3, 1)), translationsOf(5)])
  expect(invalidation.refused).toBe(2)
})
