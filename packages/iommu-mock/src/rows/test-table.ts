/** IOMMU_TEST: one row, which finds the sub-operation. drivers/iommu/iommufd/selftest.c iommufd_test. */
import {
  type IoctlRow,
  type IoctlTable,
  IOMMUFD_CONVENTION,
  type ObjectContext,
  type PageAllocator,
  UapiError,
} from '@ioasis/core'
import { IOMMU_TEST_CMD, type IommuTestCmd } from '../spec/test-command.ts'
import { accessRows } from './accesses.ts'
import { deviceRows } from './devices.ts'
import { dmaBufRows } from './dma-bufs.ts'
import { domainRows } from './domains.ts'
import { faultRows } from './faults.ts'
import { type AnyTestRow, armOf, commandBytes, type TestParts } from './test-row.ts'

/** The kernel's array of calls reaches as far as this one: what lies between has its size read before it is refused. */
const NUMBERS = { first: 0x80, last: 0xa0 } as const

/** The table that a kernel built for tests adds to those of /dev/iommu. */
export function testTable(parts: TestParts, pages: PageAllocator): IoctlTable {
  const rows = [...deviceRows(parts), ...domainRows(parts), ...faultRows(parts), ...accessRows, ...dmaBufRows(pages)]
  return {
    file: 'iommufd',
    convention: { ...IOMMUFD_CONVENTION, sizedFirst: NUMBERS },
    rows: [testCommand(new Map(rows.map((row) => [row.call.op, row])))],
  }
}

function testCommand(rows: ReadonlyMap<number, AnyTestRow>): IoctlRow<ObjectContext, IommuTestCmd> {
  return {
    call: IOMMU_TEST_CMD,
    run(objects, input, caller) {
      const row = rows.get(input.op)
      if (!row) throw new UapiError('EOPNOTSUPP', 'IOMMU_TEST', { op: input.op })
      const bytes = commandBytes(input)
      const result = row.run(objects, decoded(row, bytes), caller) ?? 0
      if (typeof result === 'number') return { ret: result }
      // The whole struct goes back: an abort finds in it what it needs.
      return { ret: 0, out: { op: input.op, id: input.id, arm: armOf(row.call, bytes, result as never) } }
    },
    abort(objects, out, caller) {
      const row = rows.get(out.op as number)
      row?.abort?.(objects, decoded(row, IOMMU_TEST_CMD.struct?.make(out) as Uint8Array), caller)
    },
  }
}

const decoded = (row: AnyTestRow, bytes: Uint8Array): never => row.call.struct?.decode(bytes) as never
