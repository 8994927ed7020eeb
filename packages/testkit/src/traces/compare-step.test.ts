import { describe, expect, test } from 'vitest'
import { compareStep } from './compare-step.ts'
import type { StepOutcome } from './outcome.ts'
import type { TraceStep } from './trace-file.ts'

const step = (rest: Partial<TraceStep>): TraceStep => ({
  kind: 'step',
  step: 1,
  op: 'pread',
  in: {},
  ret: 0,
  errno: null,
  out: {},
  src: '',
  ...rest,
})
const ours = (rest: Partial<StepOutcome & { op: string }>): StepOutcome & { op: string } => ({
  op: 'pread',
  in: {},
  ret: 0,
  errno: null,
  out: {},
  ...rest,
})
const fields = (a: Partial<TraceStep>, b: Partial<StepOutcome & { op: string }>): string[] =>
  compareStep(step(a), ours(b)).map((d) => `${d.field} ${d.recorded} ${d.ours}`)

const agrees = (data: string): boolean =>
  fields({ op: 'x', out: { data: '03000000<fd>' } }, { op: 'x', out: { data } }).length === 0
const file = (path: string, a: string, b: string): string[] =>
  fields({ op: 'sysfs_read', in: { path }, out: { text: a } }, { op: 'sysfs_read', in: { path }, out: { text: b } })

const registers = (rtaddr: string, status: string): string =>
  `Name\nRTADDR          \t0x20\t\t0x000000000${rtaddr}\nGSTS            \t0x1c\t\t0x00000000${status}`
const contextRow = (bdf: string, high: string, entry: string): string =>
  `${bdf}\t0x0000000000000000:0x0000000000bec001\t0x0000000000000${high}:0x00000000${entry}\t-1    \t0x0`
const tables = (at: string, ...entries: string[]): string =>
  `Device 0000:00:01.0 @0x${at}\n0x0000000000100 |\t${entries.map((e) => `0x${e.padStart(16, '0')}`).join('\t')}`

test('every value counts, one that is missing on either side too', () => {
  expect(fields({ in: { a: 1 }, out: { x: '0x1' } }, { in: { a: 1 }, out: { x: '0x1' } })).toEqual([])
  expect(fields({ ret: 4 }, { ret: 3 })).toEqual(['ret 4 3'])
  expect(fields({ errno: 'EINVAL' }, { errno: 'EFAULT' })).toEqual(['errno "EINVAL" "EFAULT"'])
  expect(fields({ out: { x: 1 } }, {})).toEqual(['out.x 1 nothing'])
  expect(fields({}, { out: { y: 2 } })).toEqual(['out.y nothing 2'])
  expect(fields({ in: { fd: '@a' } }, { in: { fd: '@b' } })).toEqual(['in.fd "@a" "@b"'])
  expect(fields({ signal: 'SIGBUS' }, { signal: null })).toEqual(['signal "SIGBUS" null'])
  expect(fields({ op: 'read' }, {})).toEqual(['op "read" "pread"'])
})

test('lists and objects are compared through and through', () => {
  const caps = [{ id: 1, ranges: [['0x0', '0xff']] }]
  expect(fields({ out: { caps } }, { out: { caps: structuredClone(caps) } })).toEqual([])
  expect(fields({ out: { caps } }, { out: { caps: [{ id: 1, ranges: [['0x0', '0xfe']] }] } }).length).toBe(1)
})

test('a new descriptor inside data may be any', () => {
  expect(agrees('0300000009000000')).toBe(true)
  expect(agrees('03000000ffffffff')).toBe(false)
  expect(agrees('0400000009000000')).toBe(false)
  expect(agrees('030000000900000000')).toBe(false)
})

test('locked memory is compared but where the process has a base of its own', () => {
  const recorded = step({ op: 'env', out: { memlock_locked_kb: 16 } })
  const mine = ours({ op: 'env', out: { memlock_locked_kb: 0 } })
  expect(compareStep(recorded, mine).length).toBe(1)
  expect(compareStep(recorded, mine, { lockedVaries: true })).toEqual([])
})

const deviceRow = (words: string): string => `DeviceId ...\n0000:00:01.0 0000000000000000 ${words} iommu0`
const register = (offset: string, value: string): string => `Offset:${offset} Value:0x${value.padStart(16, '0')}`

describe('texts of debugfs', () => {
  test('registers: all but addresses of tables and queues', () => {
    const path = '/sys/kernel/debug/iommu/intel/iommu_regset'
    expect(file(path, registers('0be0000', 'c7000000'), registers('0102000', 'c7000000'))).toEqual([])
    expect(file(path, registers('0be0000', 'c7000000'), registers('0be0000', 'c4000000'))).toEqual([
      'out.text "line 3: GSTS            \\t0x1c\\t\\t0x00000000c7000000" "line 3: GSTS            \\t0x1c\\t\\t0x00000000c4000000"',
    ])
  })

  test('context entries: present bits and types, not tables and domain ids', () => {
    const path = '/sys/kernel/debug/iommu/intel/dmar_translation_struct'
    expect(file(path, contextRow('00:01.0', '402', '00bf0001'), contextRow('00:01.0', '302', '001e4001'))).toEqual([])
    expect(file(path, contextRow('00:01.0', '402', '00bf0001'), contextRow('00:01.0', '401', '00bf0001')).length).toBe(
      1,
    )
    expect(file(path, contextRow('00:01.0', '402', '00bf0001'), contextRow('00:01.0', '402', '00bf0009')).length).toBe(
      1,
    )
    expect(file(path, contextRow('00:01.0', '402', '00bf0001'), contextRow('00:02.0', '402', '00bf0001')).length).toBe(
      1,
    )
  })

  test('page tables: place, levels and low bits of entries', () => {
    const path = 'intel:edu/domain_translation_struct'
    expect(file(path, tables('25fe000', '2492403', '249b803'), tables('1e4000', '1f0403', '200803'))).toEqual([])
    expect(file(path, tables('1', '2492403', '249b803'), tables('1', '2492403', '249b003')).length).toBe(1)
    expect(file(path, tables('1', '2492403', '249b803'), tables('1', '2492403')).length).toBe(1)
  })

  test('interrupt entries: the first line', () => {
    const path = '/sys/kernel/debug/iommu/intel/ir_translation_struct'
    expect(file(path, 'supported: dmar0\n 1 ff', 'supported: dmar0\n\n****')).toEqual([])
    expect(file(path, 'supported: dmar0\n', '****').length).toBe(1)
  })

  test('a device table entry: flags, modes and lengths, not tables and domain ids', () => {
    const path = '/sys/kernel/debug/iommu/amd/devtbl'
    const recorded = deviceRow('2000000000124013 0000000000000012 6000000000276603')
    expect(file(path, recorded, deviceRow('2000000000fe0013 0000000000000003 6000000001276603'))).toEqual([])
    expect(file(path, recorded, deviceRow('2000000000124013 0000000000000012 6000000000276803')).length).toBe(1)
    expect(file(path, recorded, deviceRow('0000000000124013 0000000000000012 6000000000276603')).length).toBe(1)
    expect(file(path, recorded, deviceRow('2000000000124013 0000000100000012 6000000000276603')).length).toBe(1)
  })

  test('AMD-Vi registers: not where tables lie; its command buffer: how long it is', () => {
    const mmio = '/sys/kernel/debug/iommu/amd/iommu00/mmio'
    expect(file(mmio, register('0x0', '1240ff'), register('0x0', 'fe00ff'))).toEqual([])
    expect(file(mmio, register('0x0', '1240ff'), register('0x0', '1240fe')).length).toBe(1)
    expect(file(mmio, register('0x18', '3148f'), register('0x18', '4148f')).length).toBe(1)
    expect(file(mmio, register('0x2000', '40'), register('0x2000', '90'))).toEqual([])
    const commands = '/sys/kernel/debug/iommu/amd/iommu00/cmdbuf'
    const buffer = 'CMD Buffer Head Offset:4 Tail Offset:4\n  0: 00000000 00000001 00000002 00000003'
    expect(file(commands, buffer, buffer.replaceAll('4', '5').replace('00000001', '30000001'))).toEqual([])
    expect(file(commands, buffer, `${buffer}\n  1: 00000000 00000000 00000000 00000000`).length).toBe(1)
  })

  test('every other text is compared as it is', () => {
    expect(file('dev:edu/vendor', '0x1234', '0x1235').length).toBe(1)
  })
})
