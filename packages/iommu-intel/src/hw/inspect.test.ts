import { expect, test } from 'vitest'
import { BareUnit, IOVA, NIC } from './bare-unit.test-kit.ts'

test('claims one cached translation per leaf, with its domain', () => {
  const m = new BareUnit().start().context(NIC, { domain: 9 }).map(0x200_0001n)
  m.put(0x11_2008, 0x220_0083n)
  m.read(IOVA)
  m.write(0x20_1234n)
  expect(m.unit.inspect()).toEqual([
    { kind: 'cached', unit: 'dmar0', tag: 9, iova: IOVA, bytes: 4096n, hpa: 0x200_0000, write: false },
    { kind: 'cached', unit: 'dmar0', tag: 9, iova: 0x20_0000n, bytes: 0x20_0000n, hpa: 0x220_0000, write: true },
  ])
})
