import { Interrupts, IommuUnit, type PciFunction } from '@ioasis/core'
import { audit } from '@ioasis/testkit'
import { describe, expect, test } from 'vitest'
import { FirmwareCalls } from './plugin.ts'
import { type PowerMachine, pseries, refusal } from './power-machine.test-kit.ts'

const BIT59 = 0x800_0000_0000_0000n
const GIB = 1n << 30n
const shape = (pageShift = 12, bytes = GIB, levels = 1): { pageShift: number; bytes: bigint; levels: number } => ({
  pageShift,
  bytes,
  levels,
})
/** Calls of firmware while an action runs, by name. */
function callsOf(machine: PowerMachine, action: () => void): readonly string[] {
  const log = machine.host.get(FirmwareCalls)
  log.clear()
  log.wanted = true
  action()
  log.wanted = false
  return log.calls.map(({ call }) => call)
}
const setMask = (machine: PowerMachine, fn: PciFunction, bits: number): void => {
  machine
    .group(fn)
    .devices.find((device) => device.fn === fn)
    ?.setDmaMask?.(bits)
}

describe('ownership', () => {
  test('is taken without a word to firmware, and given back by a reset', () => {
    const machine = pseries()
    expect(callsOf(machine, () => machine.claim())).toEqual([])
    expect(machine.windows().present).toEqual([undefined, undefined])
    expect(callsOf(machine, () => machine.release())).toEqual(['window-reset', 'H_STUFF_TCE'])
    expect(audit(machine.host).violations).toEqual([])
  })
  test('takes the kernel’s own window of all RAM along', () => {
    const machine = pseries()
    expect(callsOf(machine, () => setMask(machine, machine.first, 64))).toEqual([
      'ibm,query-pe-dma-window',
      'ibm,create-pe-dma-window',
      'H_PUT_TCE_INDIRECT',
    ])
    expect(machine.write(BIT59 + 0x20_0000n)).toBe(0)
    expect(machine.byteAt(0x20_0000)).toBe(0x77)
    expect(callsOf(machine, () => machine.claim())).toEqual(['H_STUFF_TCE', 'ibm,remove-pe-dma-window'])
    expect(machine.write(BIT59)).toBeGreaterThan(0)
  })
  test('is looked at by the audit without a trace among the kernel’s calls', () => {
    const machine = pseries()
    machine.claim()
    machine.put(machine.window(0, 12, GIB), 3, machine.page(4096))
    expect(callsOf(machine, () => void audit(machine.host))).toEqual([])
  })
  test('a mask of 32 bits asks for nothing', () => {
    const machine = pseries()
    expect(callsOf(machine, () => setMask(machine, machine.first, 32))).toEqual([])
  })
  test('a mask that firmware cannot serve is not asked for again', () => {
    const machine = pseries()
    setMask(machine, machine.first, 40)
    expect(callsOf(machine, () => setMask(machine, machine.first, 64))).toEqual([])
  })
})

describe('windows', () => {
  test('default first, dynamic second is the order that works', () => {
    const machine = pseries()
    machine.claim()
    const low = machine.window(0, 12, GIB)
    const high = machine.window(1, 16, GIB)
    expect([low.first, high.first]).toEqual([0n, BIT59])
    machine.put(low, 1, machine.page(4096))
    machine.put(high, 1, machine.page(65536))
    expect([machine.write(0x1000n), machine.write(BIT59 + 0x1_0000n)]).toEqual([0, 0])
    expect(audit(machine.host).violations).toEqual([])
  })
  test('a dynamic one in the first slot starts at bit 59, because firmware still counts the default one', () => {
    const machine = pseries()
    machine.claim()
    expect(machine.window(0, 16, GIB).first).toBe(BIT59)
  })
  test('a second dynamic one is refused, and so is everything later on this endpoint', () => {
    const machine = pseries()
    machine.claim()
    const first = machine.window(0, 16, GIB)
    expect(refusal(() => machine.windows().create(1, shape(16)))).toBe('ENODEV')
    machine.windows().unset(0)
    first.put()
    expect(refusal(() => machine.windows().create(0, shape()))).toBe('ENODEV')
  })
  test('a default one beside a dynamic one would destroy it: refused', () => {
    const machine = pseries()
    machine.claim()
    machine.window(1, 16, GIB)
    expect(refusal(() => machine.windows().create(0, shape()))).toBe('EPERM')
    expect(refusal(() => machine.windows().create(0, shape(16)))).toBe('EPERM')
  })
  test.each([
    [shape(12, 3n << 20n), 'EINVAL'],
    [shape(12, GIB, 2), 'EINVAL'],
    [shape(12, 1n << 50n), 'EINVAL'],
    [shape(21, 1n << 20n), 'ENODEV'],
    [shape(12, 1n << 20n, 0), undefined],
  ])('of shape %o are answered with %s', (wanted, errno) => {
    const machine = pseries()
    machine.claim()
    const slot = wanted.bytes > GIB || wanted.pageShift > 12 ? 1 : 0
    expect(refusal(() => machine.windows().create(slot, wanted))).toBe(errno)
  })
  test('of another endpoint are refused', () => {
    const machine = pseries()
    machine.claim()
    machine.claim(machine.second)
    const window = machine.window(0, 12, GIB)
    expect(refusal(() => machine.windows(machine.second).set(0, window))).toBe('EPERM')
  })
  test('cost their entries; more than one level costs what no one has', () => {
    const machine = pseries()
    expect([machine.windows().tableBytes(shape()), machine.windows().tableBytes(shape(12, GIB, 2))]).toEqual([
      0x20_0000n,
      0xffff_ffffn,
    ])
  })
  test('of 16 MiB pages are a few entries', () => {
    const machine = pseries()
    machine.claim()
    const window = machine.window(1, 24, 1n << 40n)
    machine.put(window, 2, 0)
    expect(machine.write(BIT59 + 0x2ab_cde0n)).toBe(0)
    expect(machine.byteAt(0xab_cde0)).toBe(0x77)
  })
  test('are at most the default one where firmware has no others', () => {
    const { limits } = pseries({ dynamicWindows: false }).windows()
    expect(limits).toMatchObject({ count: 0xffff_ffff, pageSizes: 0x1000n, dma32: { bytes: GIB } })
  })
  test('page sizes and limits are what the query told', () => {
    expect(pseries().windows().limits).toMatchObject({ count: 2, pageSizes: 0x121_1000n, levels: 1 })
  })
})

describe('entries', () => {
  test('that may only be written cannot be read', () => {
    const machine = pseries()
    machine.claim()
    machine.put(machine.window(0, 12, GIB), 0, machine.page(4096), 2)
    expect([machine.write(0n), machine.read(0n)]).toEqual([0, -8])
  })
  test('cost two calls each', () => {
    const machine = pseries()
    machine.claim()
    const window = machine.window(0, 12, GIB)
    expect(callsOf(machine, () => window.exchange(3, 0x5000, 3))).toEqual(['H_GET_TCE', 'H_PUT_TCE'])
    expect([window.exchange(3, 0, 0), window.oldHpa]).toEqual([3, 0x5000])
  })
  test('behind the window are refused as the hypervisor’s code reads', () => {
    const machine = pseries()
    machine.claim()
    const window = machine.window(0, 12, GIB)
    expect(refusal(() => window.exchange(window.entries, 0x5000, 3))).toBe('EINTR')
  })
})

test('explains a translation by its entry', () => {
  const machine = pseries()
  machine.claim()
  const hpa = machine.page(4096)
  machine.put(machine.window(0, 12, GIB), 2, hpa, 1)
  const { request } = machine.first.dma
  request.iovaHi = 0
  request.iovaLo = 0x2345
  request.length = 1
  const [unit] = machine.host.all(IommuUnit)
  expect(unit?.explain?.(request)).toMatchObject({ status: 0, hpa: hpa + 0x345 })
  request.access = 2
  expect(unit?.explain?.(request)).toMatchObject({ status: 9 })
})

test('messages go to the window the hypervisor keeps for them', () => {
  const machine = pseries()
  const got: number[] = []
  machine.host.get(Interrupts).handle(0x45, ({ vector }) => got.push(vector))
  machine.claim()
  machine.first.dma.sendMsi(machine.first.interrupts.messageAddress, 0x45)
  expect([machine.first.interrupts.messageAddress, got]).toEqual([0x400_0000_0000n, [0x45]])
})
