import { describe, expect, test } from 'vitest'
import { HALVES, RegisterFile } from './registers.ts'

const file = (): RegisterFile<'VER' | 'GCMD' | 'GSTS' | 'FSTS' | 'RTADDR'> =>
  new RegisterFile(
    {
      VER: { offset: 0, reset: 0x60 },
      GCMD: { offset: 0x18, rw: 0xff80_0000, wo: 0xffff_ffff },
      GSTS: { offset: 0x1c },
      FSTS: { offset: 0x34, rw1c: 0x11, reset: 0x111 },
      RTADDR: { offset: 0x20, size: 8, rw: 0xffff_ffff_ffff_f000n, reset: 0x1_0000_0000n },
    },
    0x100,
  )

describe('software', () => {
  test('reads reset values and cannot change a read-only register', () => {
    const regs = file()
    regs.store(0, 4, 0xffff_ffffn)
    expect(regs.load(0, 4)).toBe(0x60n)
    expect(regs.load(0x20, 8)).toBe(0x1_0000_0000n)
  })
  test('sets and clears RW bits only', () => {
    const regs = file()
    regs.store(0x20, 8, 0xffff_ffff_ffff_ffffn)
    expect(regs.load(0x20, 8)).toBe(0xffff_ffff_ffff_f000n)
    regs.store(0x20, 8, 0n)
    expect(regs.load(0x20, 8)).toBe(0n)
  })
  test('reaches a 64-bit register in halves', () => {
    const regs = file()
    regs.store(0x24, 4, 0xabn)
    regs.store(0x20, 4, 0x5678_9abcn)
    expect(regs.load(0x20, 8)).toBe(0xab_5678_9000n)
    expect(regs.load(0x24, 4)).toBe(0xabn)
  })
  test('clears a RW1C bit by writing 1 and leaves it by writing 0', () => {
    const regs = file()
    regs.store(0x34, 4, 0x101n)
    expect(regs.load(0x34, 4)).toBe(0x110n)
  })
  test('reads a WO register as zero, although hardware keeps the value', () => {
    const regs = file()
    regs.store(0x18, 4, 0x8000_0000n)
    expect(regs.load(0x18, 4)).toBe(0n)
    expect(regs.lo('GCMD')).toBe(0x8000_0000 | 0)
  })
  test('reads zero and loses stores where no register lies, and outside the window', () => {
    const regs = file()
    regs.store(0x80, 4, 5n)
    regs.store(0x1000, 8, 5n)
    expect(regs.load(0x80, 8)).toBe(0n)
    expect(regs.load(0x1000, 4)).toBe(0n)
  })
  test('loads bytes and half words; narrow stores change nothing', () => {
    const regs = file()
    regs.set('RTADDR', 0x4433_2211)
    expect([regs.load(0x21, 1), regs.load(0x22, 2)]).toEqual([0x22n, 0x4433n])
    regs.store(0x21, 1, 0xffn)
    expect(regs.load(0x20, 4)).toBe(0x4433_2211n)
  })
})

describe('actions', () => {
  test('get what software wrote, with the rules already applied', () => {
    const regs = file()
    const seen: number[] = []
    regs.onWrite('FSTS', (lo) => seen.push(lo, regs.lo('FSTS'), regs.oldLo))
    regs.store(0x34, 4, 0x3n)
    expect(seen).toEqual([3, 0x110, 0x111])
  })
  test('are told which half of a 64-bit register was written', () => {
    const regs = file()
    const seen: number[][] = []
    regs.onWrite('RTADDR', (lo, hi, halves) => seen.push([lo, hi, halves]))
    regs.store(0x20, 4, 1n)
    regs.store(0x24, 4, 2n)
    regs.store(0x20, 8, 0x3_0000_0004n)
    expect(seen).toEqual([
      [1, 0, HALVES.LOW],
      [0, 2, HALVES.HIGH],
      [4, 3, HALVES.BOTH],
    ])
  })
  test('of two 32-bit registers run low first for one 8-byte store', () => {
    const regs = file()
    const seen: string[] = []
    regs.onWrite('GSTS', (lo) => seen.push(`GSTS ${lo}`)).onWrite('GCMD', (lo) => seen.push(`GCMD ${lo}`))
    regs.store(0x18, 8, 0x2_0000_0001n)
    expect(seen).toEqual(['GCMD 1', 'GSTS 2'])
  })
  test('do not run for hardware’s own access', () => {
    const regs = file()
    regs.onWrite('GSTS', () => expect.unreachable())
    regs.set('GSTS', -1)
    expect(regs.load(0x1c, 4)).toBe(0xffff_ffffn)
  })
})

test('reset gives back every reset value', () => {
  const regs = file()
  regs.set('VER', 1)
  regs.set('RTADDR', 1, 2)
  regs.reset()
  expect([regs.lo('VER'), regs.lo('RTADDR'), regs.hi('RTADDR'), regs.hi('VER')]).toEqual([0x60, 0, 1, 0])
})

describe('declaring refuses', () => {
  test('two registers in one place', () => {
    expect(() => new RegisterFile({ A: { offset: 0, size: 8 }, B: { offset: 4 } }, 16)).toThrow(/B and A share 0x4/)
  })
  test('a bit with two rules', () => {
    expect(() => new RegisterFile({ A: { offset: 0, rw: 3, rw1c: 1 } }, 16)).toThrow(/both RW and RW1C/)
  })
  test('a register outside the window or not aligned to its size', () => {
    expect(() => new RegisterFile({ A: { offset: 16 } }, 16)).toThrow(/does not fit/)
    expect(() => new RegisterFile({ A: { offset: 4, size: 8 } }, 16)).toThrow(/does not fit/)
  })
})
