import { describe, expect, test } from 'vitest'
import { array, choice, flags, struct, u32, u64, u8 } from '../c-struct.ts'
import { UapiError } from '../errno.ts'
import { _IO } from './ioctl-number.ts'
import { type AnyIoctlRow, ioctlCall, IOMMUFD_CONVENTION, type IoctlTable } from './ioctl-row.ts'
import { rig } from './rig.test-kit.ts'
import { Strace } from './strace.ts'

const Map = struct('map', {
  size: u32,
  flags: flags(u32, { FIXED: 1, WRITEABLE: 2, READABLE: 4 }),
  type: choice(u32, { NONE: 0, VTD: 1 }),
  __reserved: u32,
  iova: u64,
  uuid: array(u8, 4),
  out_id: u32,
})
const MAP = ioctlCall('IOMMU_MAP', _IO(';', 0x85), Map)
const RESET = ioctlCall('RESET', _IO(';', 0x6f))
const row: AnyIoctlRow = { call: MAP, run: () => ({ ret: 0, out: { out_id: 3 } }) }
const table = (file: string, rows: readonly AnyIoctlRow[]): IoctlTable => ({
  file,
  convention: IOMMUFD_CONVENTION,
  rows,
})

function printed(action: (r: ReturnType<typeof rig>) => void, tables = [table('toy', [row])]): readonly string[] {
  const lines: string[] = []
  const r = rig(tables[0] as IoctlTable)
  r.client.observer = new Strace(tables, (line) => lines.push(line))
  try {
    action(r)
  } catch (error) {
    if (!(error instanceof UapiError)) throw error
  }
  return lines
}

describe('a line', () => {
  test('names members and flags, shows what the kernel wrote, and hides reserved zeros', () => {
    const lines = printed(({ client, fd }) => client.ioctl(fd, MAP, { flags: 0x13, type: 1, iova: 0x1000n }))
    expect(lines).toEqual([
      'ioctl(0, IOMMU_MAP, {size=32, flags=FIXED|WRITEABLE|0x10, type=VTD, iova=0x1000, uuid=0, out_id=0 => 3}) = 0',
    ])
  })
  test('shows reserved members and arrays that are not zero', () => {
    const lines = printed(({ client, fd }) => client.ioctl(fd, MAP, { __reserved: 7, uuid: [1, 2, 0, 0], type: 5 }))
    expect(lines[0]).toContain('flags=0, type=5, __reserved=7, iova=0, uuid=[1, 2, 0, 0],')
  })
  test('ends in the errno of a refusal', () => {
    expect(printed(({ client, fd }) => client.ioctl(fd, MAP.number, 0x1000))).toEqual([
      'ioctl(0, IOMMU_MAP, 0x1000) = -1 EFAULT (errno 14)',
    ])
    expect(printed(({ client, fd }) => client.ioctl(fd, MAP.number, 0))).toEqual([
      'ioctl(0, IOMMU_MAP, NULL) = -1 EFAULT (errno 14)',
    ])
  })
  test('shows a number it does not know, and a call without a struct by its argument', () => {
    const reset = table('toy', [row, { call: RESET, run: (_f, _i, _c, arg) => ({ ret: Number(arg) }) }])
    const lines = printed(
      ({ client, fd }) => {
        client.ioctl(fd, RESET)
        client.ioctl(fd, RESET, 8)
        client.ioctl(fd, 0x3b99)
      },
      [reset],
    )
    expect(lines).toEqual([
      'ioctl(0, RESET) = 0',
      'ioctl(0, RESET, 0x8) = 8',
      'ioctl(0, 0x3b99, NULL) = -1 ENOTTY (errno 25)',
    ])
  })
  test('takes the call from the tables of the file, where two files share a number', () => {
    const other = table('other', [{ ...row, call: ioctlCall('OTHER', MAP.number, Map) }])
    const lines = printed(({ client, fd }) => client.ioctl(fd, MAP, {}), [table('toy', [row]), other])
    expect(lines[0]).toMatch(/IOMMU_MAP/)
    expect(
      new Strace([other, table('toy', [row])], () => {}).print({ fd: 1, number: MAP.number, arg: 0n, result: 0 }),
    ).toBe('ioctl(1, OTHER, NULL) = 0')
  })
})
