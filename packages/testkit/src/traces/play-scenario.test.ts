import { AuditSource, Clock, type Plugin } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { checkExemptions } from './exemptions.ts'
import { fakeMachine, OPEN, scenarioOf, type StepText } from './fake-host.test-kit.ts'
import { lastingSettings } from './lasting-settings.ts'
import { type ScenarioOutcome, type TracePlayOptions } from './play-scenario.ts'
import { playTraces, traceClosingLine, traceDifferenceLine } from './play-traces.ts'

function play(lines: readonly (StepText | number)[], options: TracePlayOptions = {}): ScenarioOutcome {
  const [outcome] = playTraces([scenarioOf(...lines)], { make: () => fakeMachine(), ...options })
  return outcome as ScenarioOutcome
}
const told = (lines: readonly (StepText | number)[], options?: TracePlayOptions): string[] =>
  play(lines, options).differences.map((d) => `${d.step} ${d.field}: ${d.recorded} / ${d.ours}`)

const alloc = (src: string, more: Partial<StepText>): StepText => ({ src: `IOMMU_IOAS_ALLOC ${src}`, ...more })
const info = (src: string, more: Partial<StepText>): StepText => ({
  src: `IOMMU_GET_HW_INFO @iommu ${src}`,
  ...more,
})
const write = (path: string, text: string, more: Partial<StepText> = {}): StepText => ({
  src: `sysfs_w ${path} ${text}`,
  op: 'sysfs_write',
  in: { path, text },
  ...more,
})
const REFUSED = { ret: -1, out: {} } as const

describe('an ioctl', () => {
  test('is made from the script with the sizes of the host, and prints what went in and came out', () => {
    const lines = [
      OPEN,
      alloc('@iommu -> a=out_ioas_id', { in: { fd: '@iommu', size: 12, flags: 0 }, out: { out_ioas_id: 1 } }),
      alloc('@iommu flags=$a', { in: { fd: '@iommu', size: 12, flags: 1 }, ...REFUSED, errno: 'EOPNOTSUPP' }),
      alloc('@gone', { in: { fd: '@gone', size: 12, flags: 0 }, ...REFUSED, errno: 'EBADF' }),
    ]
    expect(told(lines)).toEqual([])
  })

  test('finds a struct that is nowhere, read-only, or ends before its end', () => {
    const inputs = { fd: '@iommu', size: 12, flags: 0 }
    const bad = (how: string): StepText =>
      alloc(`@iommu _arg=${how}`, { in: { ...inputs, _arg: how }, ...REFUSED, errno: 'EFAULT' })
    const edge = { ...inputs, _arg: 'edge', _len: 12 }
    const lines = [
      OPEN,
      ...['null', 'bad', 'kernel', 'ro'].map(bad),
      alloc('@iommu _arg=edge', { in: edge, out: { out_ioas_id: 2 } }),
      alloc('@iommu _arg=edge size=16', { in: { ...edge, size: 16 }, ...REFUSED, errno: 'EFAULT' }),
    ]
    expect(told(lines)).toEqual([])
  })

  test('has zeros behind its struct, but for a tail', () => {
    const inputs = { fd: '@iommu', flags: 0 }
    const lines = [
      OPEN,
      alloc('@iommu size=16 _tail=u32:1', {
        in: { ...inputs, size: 16, _tail: '01000000' },
        ...REFUSED,
        errno: 'E2BIG',
      }),
      alloc('@iommu size=4097', { in: { ...inputs, size: 4097 }, out: { out_ioas_id: 1 } }),
      alloc('@iommu size=0xffffffff', { in: { ...inputs, size: 4294967295 }, ...REFUSED, errno: 'EFAULT' }),
    ]
    expect(told(lines)).toEqual([])
  })

  test('gives a payload to the member that points to it, preset as the script says', () => {
    const inputs = { fd: '@iommu', size: 40, flags: 0, dev_id: 0, data_type: 0, __reserved0: 0 }
    const out = { data_len: 4, data_type: 1, out_max_pasid_log2: 0, out_capabilities: '0x8' }
    const lines = [
      OPEN,
      info('datalen=6 fill=0xff', {
        in: { ...inputs, data_len: 6, data_uptr: '&data', datalen: 6 },
        out: { ...out, data: '01020304ffff' },
      }),
      info('data_len=4 data_uptr=0x7f0000001000', {
        in: { ...inputs, data_len: 4, data_uptr: '0x7f0000001000' },
        ...REFUSED,
        errno: 'EFAULT',
      }),
      info('', { in: { ...inputs, data_len: 0, data_uptr: null }, out }),
    ]
    expect(told(lines)).toEqual([])
  })
})

test('a name is bound only by a step that succeeded, and free again once it is closed', () => {
  const lines: StepText[] = [
    { ...OPEN, src: 'open iommu /dev/nothing', in: { path: '/dev/nothing', flags: 'rw' }, ret: -1, errno: 'ENOENT' },
    { src: 'close @iommu', in: { fd: '@iommu' }, ret: -1, errno: 'EBADF' },
    OPEN,
    { src: 'close @iommu', in: { fd: '@iommu' } },
    { src: 'close @iommu', in: { fd: '@iommu' }, ret: -1, errno: 'EBADF' },
  ]
  expect(told(lines)).toEqual([])
})

test('buffers are never adjacent; what is outside them is a signal', () => {
  const lines: StepText[] = [
    { src: 'mem m 4096', in: { name: 'm', size: '0x1000', kind: 'rw' } },
    { src: 'fill &m 16 0x66', in: { at: '&m', length: '0x10', byte: 0x66 } },
    { src: 'peek &m 4', in: { at: '&m', length: 4 }, out: { data: '66666666' } },
    { src: 'ioctl @x 0x1234 &m', in: { fd: '@x', nr: '0x1234', arg: '0x200000000000' }, ret: -1, errno: 'EBADF' },
    { src: 'munmap &m 4096', in: { at: '&m', length: '0x1000' } },
  ]
  expect(told(lines)).toEqual([])
  const fault = play([...lines, { src: 'mr &m 4', op: 'mem_read', in: { at: '&m', width: 4 }, ret: -1 }])
  expect(fault.differences.map((d) => `${d.field} ${d.ours}`)).toEqual(['signal "SIGSEGV"'])
})

test('virtual time passes in pauses and while an event is waited for', () => {
  let now = 0
  const outcome = play(
    [
      50,
      { src: 'eventfd e', in: { name: 'e' } },
      { src: 'eventfd_read @e 3', in: { fd: '@e' }, ret: -1, errno: 'EAGAIN', out: { count: 0 } },
      { src: 'drop_privs' },
    ],
    {
      onStep: (_step, { world }) => {
        now = world.host.get(Clock).now()
      },
    },
  )
  expect(outcome.differences).toEqual([])
  expect(now).toBe(80)
})

test('an unknown operation, name or call is a difference, and ends the scenario', () => {
  expect(told([{ src: 'MOCK_ADD 1' }, OPEN])).toEqual(['1 error: none / TraceError: unknown operation "MOCK_ADD"'])
  expect(told([{ src: 'IOMMU_DESTROY @x id=1' }])).toEqual([
    '1 error: none / TraceError: no table of this host has IOMMU_DESTROY',
  ])
  expect(play([{ src: 'MOCK_ADD 1' }, OPEN]).steps).toBe(2)
})

test('a broken promise of our own is told, and the next scenario gets another host', () => {
  let made = 0
  const broken = scenarioOf(OPEN, alloc('@iommu flags=13', {}))
  const good = scenarioOf(OPEN)
  const outcomes = playTraces([broken, good, good], {
    make: () => {
      made++
      return fakeMachine()
    },
  })
  expect(made).toBe(2)
  expect(outcomes.map((o) => o.differences.map((d) => d.ours))).toEqual([['Error: a promise is broken'], [], []])
})

test('the host is audited after each step and at the end', () => {
  const claims: Plugin = {
    name: 'leaky',
    contract: 1,
    provides: [AuditSource],
    setup: (host) => {
      const claim = { kind: 'count', what: 'leaks', actual: 1, expected: 0 } as const
      host.provide(AuditSource, { name: 'leaky', claims: () => [claim] })
    },
  }
  const make = () => fakeMachine([claims])
  const [outcome] = playTraces([scenarioOf(OPEN)], { make })
  expect(outcome?.differences.map((d) => d.field)).toEqual(['audit', 'audit'])
  expect(playTraces([scenarioOf(OPEN)], { make, audit: false })[0]?.differences).toEqual([])
})

test('counts steps, differences and exemptions', () => {
  const lines = [OPEN, alloc('@iommu', { in: { fd: '@iommu', size: 12, flags: 0 }, out: { out_ioas_id: 7 } })]
  const exempt = { machine: '*', scenario: 'area/name', step: 2, field: 'out.out_ioas_id', reason: 'an example' }
  expect(traceClosingLine([play(lines)])).toBe('2 steps, 1 differences, 0 exempt')
  expect(traceClosingLine([play(lines, { exemptions: [exempt] })])).toBe('2 steps, 0 differences, 1 exempt')
  expect(play(lines).differences.map(traceDifferenceLine)).toEqual([
    'toy.kernel area/name step 2 out.out_ioas_id: recorded 7, ours 1',
  ])
})

test('an exemption names a value that was written, and a reason', () => {
  const exempt = { machine: '*', scenario: 'a/b', step: 1, reason: 'why' }
  expect(() => {
    checkExemptions([{ ...exempt, field: 'errno' }])
  }).toThrow('only a value handed in or written can be exempt')
  expect(() => {
    checkExemptions([{ ...exempt, field: 'out.x', reason: ' ' }])
  }).toThrow('no reason')
})

test('of scenarios that are not played, what they set for good is set', () => {
  const before = scenarioOf(
    write('grp:edu/type', 'identity'),
    write('grp:edu/type', 'DMA'),
    write('grp:nic/type', 'identity', { ret: -1, errno: 'EPERM' }),
    write('/sys/bus/mdev/devices/u/remove', '1'),
  )
  expect(lastingSettings([before])).toEqual([{ path: 'grp:edu/type', text: 'DMA' }])
})
