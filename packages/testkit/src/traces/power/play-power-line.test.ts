import { createHost } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { TraceWorld } from '../trace-world.ts'
import { playPowerLine } from './play-power-line.ts'
import { PowerProcess } from './power-process.ts'

function played(...lines: readonly string[]) {
  let loaded = 0
  const machine = { host: createHost(), devices: {}, modules: new Map([['/mod/kvm.ko', () => void loaded++]]) }
  const world = new TraceWorld(machine)
  const process = new PowerProcess(world, world.begin())
  return { steps: lines.map((line) => playPowerLine(line, process)), process, loaded: () => loaded }
}
const last = (...lines: readonly string[]): unknown => played(...lines).steps.at(-1)

describe('memory', () => {
  test('buffers stand at the recorded places', () => {
    const { steps } = played(
      'alloc size=PAGE*4 as=m',
      'alloc size=PAGE kind=ro as=r',
      'alloc size=4M align=0x40000000',
      'alloc size=PAGE at=m+PAGE*4',
    )
    expect(steps.map(({ out }) => out['vaddr'])).toEqual([
      '0x10000000000',
      '0x10020000000',
      '0x10040000000',
      '0x10000004000',
    ])
    expect(steps[1]?.in).toEqual({ size: '0x1000', kind: 'ro' })
  })
  test('what is filled is seen, and whether all bytes are equal', () => {
    expect(last('alloc size=PAGE as=m', 'fill vaddr=m size=16 byte=0x11', 'peek vaddr=m size=32')).toEqual({
      op: 'peek',
      in: { vaddr: '0x10000000000', size: '0x20' },
      ret: 0,
      errno: null,
      out: { head: '11'.repeat(16), uniform: false },
    })
  })
  test('huge pages where the kernel has none', () => {
    expect(last('alloc size=2M kind=huge')).toMatchObject({ ret: -1, errno: 'EINVAL', out: {} })
    expect(last('meminfo')).toMatchObject({ ret: 0, out: {} })
  })
})

describe('processes', () => {
  test('a child has a memory of its own, and ends after its step', () => {
    const { steps, process } = played(
      'alloc size=PAGE as=m',
      '@child fill vaddr=m size=16 byte=7',
      'peek vaddr=m size=16',
    )
    expect(steps[2]?.out['head']).toBe('00'.repeat(16))
    expect(steps[1]).toMatchObject({ op: 'fill', errno: null })
    expect(process.calls.process.alive).toBe(true)
  })
  test('limits and capabilities', () => {
    const { process } = played('rlimit_memlock soft=0x10000', 'drop_caps')
    expect([process.calls.process.lockLimit, process.calls.process.user.uid]).toEqual([16, 0])
  })
})

describe('the machine', () => {
  test('a module loads once, an unknown one never', () => {
    const { steps, loaded } = played('insmod path=/mod/kvm.ko', 'insmod path=/mod/kvm.ko', 'insmod path=/mod/other.ko')
    expect([steps.map(({ errno }) => errno), loaded()]).toEqual([[null, 'EEXIST', 'ENOENT'], 1])
  })
  test('a setting the kernel does not have', () => {
    expect(last('write_sys path=/proc/sys/vm/nr_hugepages value=64')).toMatchObject({ errno: 'ENOENT' })
  })
  test('what was never opened is no descriptor', () => {
    expect(last('close fd=c')).toEqual({ op: 'close', in: { fd: 'c' }, ret: -1, errno: 'EBADF', out: {} })
  })
})

test.each([
  ['conjure fd=c', /unknown operation "conjure"/],
  ['close c', /"c" is no key=value/],
  ['map fd=c', /no table of this host has VFIO_IOMMU_MAP_DMA|"vaddr" is missing/],
  ['', /empty script line/],
])('"%s" cannot be played', (line, why) => {
  expect(() => played(line)).toThrow(why)
})
