import { expect, test } from 'vitest'
import { MsixTable } from './msix-table.ts'

test('entries are masked and zero at first', () => {
  const table = new MsixTable(3, () => undefined)
  expect([table.tableBytes, table.pendingBytes, table.masked(2), table.message(2)]).toEqual([
    48,
    8,
    true,
    { address: 0n, data: 0 },
  ])
})
test('a write of 8 bytes fills two registers; the address is aligned, vector control keeps its mask', () => {
  const table = new MsixTable(1, () => undefined)
  table.storeTable(0, 8, 0x1_fee0_0003n)
  table.storeTable(8, 8, 0xffff_fffe_0000_0051n)
  expect([table.message(0), table.masked(0)]).toEqual([{ address: 0x1_fee0_0000n, data: 0x51 }, false])
  expect(table.loadTable(12, 4)).toBe(0n)
})
test('each write is told of', () => {
  let told = 0
  const table = new MsixTable(1, () => told++)
  table.storeTable(12, 4, 0n)
  expect(told).toBe(1)
})
test('pending bits read in any width', () => {
  const table = new MsixTable(70, () => undefined)
  table.setPending(65, true)
  table.setPending(9, true)
  expect([table.loadPending(8, 8), table.loadPending(1, 1), table.pending(65)]).toEqual([2n, 2n, true])
  table.setPending(65, false)
  expect(table.pending(65)).toBe(false)
})
