import { expect, test } from 'vitest'
import { advancedErrors, ari, ats, express, msi, msix, pageRequests, powerManagement } from './capabilities.ts'

const u16 = ({ body }: { body: Uint8Array }, at: number): number =>
  (body[at] as number) | ((body[at + 1] as number) << 8)

test('MSI grows with what it can do', () => {
  expect([msi({ wide: false }), msi(), msi({ maskable: true })].map((c) => c.body.length)).toEqual([0x0a, 0x0e, 0x18])
  expect(u16(msi({ vectors: 8, maskable: true }), 2)).toBe(0x186)
})

test('MSI-X encodes its size less one and where its structures lie', () => {
  const made = msix({ vectors: 64, table: { bar: 4, offset: 0x1000 }, pending: { bar: 2, offset: 0x800 } })
  expect([u16(made, 2), u16(made, 4), u16(made, 8)]).toEqual([63, 0x1004, 0x802])
  expect(() => msix({ vectors: 0, table: { bar: 0, offset: 0 }, pending: { bar: 0, offset: 0 } })).toThrow(
    'msix: 0 vectors',
  )
})

test('PCI Express says type, reset, no-snoop and link', () => {
  const made = express({ type: 'rootPort', slot: true, flr: true, noSnoop: 'on', speed: 4, width: 16 })
  expect(u16(made, 2)).toBe(0x142)
  expect(u16(made, 6)).toBe(0x1000)
  expect(u16(made, 8)).toBe(0x2810)
  expect([u16(made, 0xc), u16(made, 0x12), u16(made, 0x2c)]).toEqual([0x104, 0x104, 0x1e])
})

test('the others carry their one field', () => {
  expect(u16(powerManagement({ d1: true, noSoftReset: true }), 2)).toBe(0x203)
  expect(u16(powerManagement({ noSoftReset: true }), 4)).toBe(8)
  expect(u16(ari(2), 4)).toBe(0x200)
  expect(u16(ats({ queueDepth: 4 }), 4)).toBe(4)
  expect(u16(pageRequests({ outstanding: 16 }), 8)).toBe(16)
  expect(u16(advancedErrors(), 0x0c)).toBe(0x2030)
})
