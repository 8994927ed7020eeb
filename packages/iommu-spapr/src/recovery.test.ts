/** Frozen endpoints: what hardware does with a bad access, and how it is recovered. */
import { Cpus, type Trace, Tracer } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { type PowerMachine, powernv } from './power-machine.test-kit.ts'

const BAR = 0xc000_0000
const STATE = { normal: 0, stopped: 2, dmaStopped: 4, unavailable: 5 } as const
const mmio = (machine: PowerMachine): bigint => machine.host.get(Cpus)[0].load(BAR, 4)

/** A window with one page at 0; the endpoint is frozen by a write behind it. */
function frozen(): PowerMachine {
  const machine = powernv()
  machine.claim()
  machine.put(machine.window(0, 12, 1n << 30n), 0, machine.page(4096))
  expect(machine.write(0n)).toBe(0)
  expect(machine.write(0x1000n)).toBeGreaterThan(0)
  return machine
}

describe('a bad access', () => {
  test('freezes its endpoint: registers read all ones, DMA stops, and the state says so', () => {
    const machine = frozen()
    expect(mmio(machine)).toBe(0xffff_ffffn)
    expect(machine.write(0n)).toBe(2)
    expect(machine.recovery().state()).toBe(STATE.stopped)
  })
  test('leaves other endpoints alone', () => {
    const machine = frozen()
    expect(machine.write(0x800_0000_0000_0000n, 1, machine.second)).toBe(0)
  })
  test('is told once: what a frozen endpoint sends vanishes', () => {
    const machine = powernv()
    const seen: unknown[] = []
    const trace: Trace = machine.host.get(Tracer)
    trace.on('fault', ({ text }) => seen.push(text))
    machine.claim()
    machine.write(0x1000n)
    machine.write(0x2000n)
    expect(seen).toEqual(['PHB#0-PE#fe: write of 0x1000: there is no window at this address'])
  })
  test.each([
    ['above its window', 0x4000_0000n],
    ['in an address space that is none', 1n << 63n],
    ['in a window that is absent', 0x800_0000_0000_0000n],
  ])('%s freezes as well', (_, iova) => {
    const machine = powernv()
    machine.claim()
    machine.window(0, 12, 1n << 30n)
    expect(machine.write(iova)).toBeGreaterThan(0)
    expect(machine.recovery().state()).toBe(STATE.stopped)
  })
  test('on QEMU’s bridge freezes nothing', () => {
    const machine = powernv({ personality: 'qemu' })
    machine.claim()
    machine.write(0x1000n)
    expect([mmio(machine), machine.recovery().state()]).toEqual([0x5an, STATE.normal])
  })
})

describe('recovery', () => {
  test('thaws registers and DMA one after the other', () => {
    const machine = frozen()
    const recovery = machine.recovery()
    expect([recovery.setOption(2), recovery.state(), mmio(machine)]).toEqual([0, STATE.dmaStopped, 0x5an])
    expect([recovery.setOption(3), recovery.state(), machine.write(0n)]).toEqual([0, STATE.normal, 0])
  })
  test('by a reset keeps the endpoint frozen until it ends, and gives its BARs back', () => {
    const machine = frozen()
    const recovery = machine.recovery()
    expect([recovery.reset(1), recovery.state(), mmio(machine)]).toEqual([0, STATE.stopped, 0xffff_ffffn])
    expect([recovery.reset(0), recovery.configure(), recovery.state()]).toEqual([0, 0, STATE.normal])
    expect([machine.first.barRegister(0), mmio(machine)]).toEqual([BAR, 0x5an])
  })
  test('by a fundamental reset ends the same way', () => {
    const recovery = frozen().recovery()
    expect([recovery.reset(3), recovery.reset(0), recovery.state()]).toEqual([0, 0, STATE.normal])
  })
  test('comes with a new owner', () => {
    const machine = frozen()
    expect([machine.recovery().setOption(1), machine.recovery().state()]).toEqual([0, STATE.normal])
  })
  test('comes when user space gives the endpoint back', () => {
    const machine = frozen()
    machine.windows().unset(0)
    machine.release()
    expect([machine.recovery().state(), machine.write(0x800_0000_0000_0000n)]).toEqual([STATE.normal, 0])
  })
  test.each([
    [() => frozen().recovery().setOption(4), -22],
    [() => frozen().recovery().reset(2), -22],
    [() => powernv().recovery().inject(0, 20, 0n, 0n), -22],
    [() => powernv().recovery().inject(2, 0, 0n, 0n), -34],
    [() => powernv({ personality: 'qemu' }).recovery().inject(0, 0, 0n, 0n), -5],
    [() => powernv({ personality: 'qemu' }).recovery().reset(3), -5],
  ])('refuses what it has not: case %#', (ask, answer) => {
    expect(ask()).toBe(answer)
  })
  test('an injected error freezes', () => {
    const machine = powernv()
    expect([machine.recovery().inject(1, 6, 0n, 0n), machine.recovery().state()]).toEqual([0, STATE.stopped])
  })
})
