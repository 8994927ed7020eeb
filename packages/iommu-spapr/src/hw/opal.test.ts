/** What firmware refuses, in its order, and what reaches the bridge. */
import { HostMemory } from '@ioasis/core'
import { beforeEach, describe, expect, test } from 'vitest'
import { BUS_COMPARE, FREEZE, OPAL, RESET_SCOPE, TCE_KILL } from '../spec/opal.ts'
import { WINDOW1_FIRST } from '../spec/tve.ts'
import { FirmwareLog } from './firmware-log.ts'
import { Opal } from './opal.ts'
import { Phb } from './phb.ts'
import { WINDOW } from './tvt.ts'

const { SUCCESS, PARAMETER, HARDWARE, UNSUPPORTED } = OPAL
const PE = 0xfd
let phb: Phb
let opal: Opal
let resets: readonly (readonly [number, number])[]

function make(personality: 'specification' | 'qemu' = 'specification'): void {
  resets = []
  phb = new Phb({ name: 'phb0', segment: 4, endpoints: 256, personality }, new HostMemory())
  const resetBehind = (segment: number, bridge: number): boolean => {
    resets = [...resets, [segment, bridge]]
    return bridge !== 0x18
  }
  const options = { qemu: personality === 'qemu', pageShifts: [12, 16, 21, 30] }
  opal = new Opal([phb], { resetBehind }, new FirmwareLog(), options)
}
beforeEach(() => make())

const owners = (...ids: readonly number[]): readonly (number | undefined)[] => ids.map((id) => phb.endpointOf(id))
const kill = (kind: number, pe = PE): number => opal.tceKill(0, kind, pe, 0x1000, 0, 0, 1)
const reset = (scope: number, assert: boolean, slot = 0x08): number => opal.reset(0, slot, scope, assert)

describe('requesters', () => {
  test('of a bus, of a range of buses, of one function', () => {
    opal.setPe(0, PE, 0x100, BUS_COMPARE.ALL, false, true)
    opal.setPe(0, 7, 0x400, 6, false, true)
    opal.setPe(0, 8, 0x180, BUS_COMPARE.ALL, true, true)
    expect(owners(0xff, 0x100, 0x180, 0x1ff, 0x200)).toEqual([undefined, PE, 8, PE, undefined])
    expect(owners(0x3ff, 0x400, 0x5ff, 0x600)).toEqual([undefined, 7, 7, undefined])
  })
  test('are taken away again', () => {
    opal.setPe(0, PE, 0x100, BUS_COMPARE.ALL, false, true)
    opal.setPe(0, PE, 0x100, BUS_COMPARE.ALL, false, false)
    expect(owners(0x100, 0x1ff)).toEqual([undefined, undefined])
  })
  test.each([
    [1, PE, 0x100, 7],
    [0, 256, 0x100, 7],
    [0, PE, 0x1_0000, 7],
    [0, PE, 0x100, 1],
    [0, PE, 0x100, 8],
  ])('bridge %i, endpoint %i, requester %i, comparing %i: refused', (bridge, pe, requester, compare) => {
    expect(opal.setPe(bridge, pe, requester, compare, false, true)).toBe(PARAMETER)
  })
})

describe('a window', () => {
  const map = (window: number, levels: number, table: number, levelBytes: number, pageBytes: number): number =>
    opal.mapPeDmaWindow(0, PE, window, levels, table, levelBytes, pageBytes)

  test('is programmed, and taken out by zeros', () => {
    expect(map(2 * PE, 3, 0x10_0000, 0x1_0000, 0x1_0000)).toBe(SUCCESS)
    expect([phb.windows.kinds[2 * PE], phb.windows.table(2 * PE)]).toEqual([WINDOW.TRANSLATED, 0x10_0000])
    expect([map(2 * PE, 0, 0, 0, 0), phb.windows.kinds[2 * PE]]).toEqual([SUCCESS, WINDOW.ABSENT])
  })
  test.each([
    ['of another endpoint', 2 * PE + 2, 1, 0x1000, 0x1000],
    ['without levels', 2 * PE, 0, 0x1000, 0x1000],
    ['of six levels', 2 * PE, 6, 0x1000, 0x1000],
    ['of less than 512 entries', 2 * PE, 1, 0x800, 0x1000],
    ['of a page size the bridge has not', 2 * PE, 1, 0x1000, 0x100_0000],
  ])('%s is refused', (_, window, levels, levelBytes, pageBytes) => {
    expect(map(window, levels, 0x10_0000, levelBytes, pageBytes)).toBe(PARAMETER)
  })
  test('that goes through lies where its number says, in units of 16 MiB', () => {
    const real = (first: bigint, bytes: bigint): number => opal.mapPeDmaWindowReal(0, PE, 2 * PE + 1, first, bytes)
    expect([real(0n, 1n << 31n), real(WINDOW1_FIRST, 0x1000n), real(WINDOW1_FIRST + 1n, 1n << 31n)]).toEqual([
      PARAMETER,
      PARAMETER,
      PARAMETER,
    ])
    expect([real(WINDOW1_FIRST, 1n << 31n), phb.windows.kinds[2 * PE + 1]]).toEqual([SUCCESS, WINDOW.UNTRANSLATED])
  })
  test('is killed by pages, by endpoint, or with all others', () => {
    expect([TCE_KILL.PAGES, TCE_KILL.PE, TCE_KILL.ALL].map((kind) => kill(kind))).toEqual([SUCCESS, SUCCESS, SUCCESS])
    expect([kill(3), kill(TCE_KILL.PE, 256), kill(TCE_KILL.ALL, 256)]).toEqual([PARAMETER, PARAMETER, SUCCESS])
  })
})

describe('an endpoint', () => {
  test('is frozen and thawed in part', () => {
    expect([opal.freezeSet(0, PE, FREEZE.ALL), opal.freezeClear(0, PE, FREEZE.MMIO)]).toEqual([SUCCESS, SUCCESS])
    expect([opal.freezeStatus(0, PE), opal.freezeStatus(0, 256)]).toEqual([FREEZE.DMA, PARAMETER])
    expect([opal.freezeSet(0, PE, 0), opal.freezeClear(0, PE, 4)]).toEqual([PARAMETER, PARAMETER])
  })
  test('freezes with an injected error', () => {
    expect([opal.errInject(0, PE, 0, 20, 0n, 0n), opal.errInject(0, PE, 2, 0, 0n, 0n)]).toEqual([PARAMETER, PARAMETER])
    expect([opal.errInject(0, PE, 1, 6, 0n, 0n), opal.freezeStatus(0, PE)]).toEqual([SUCCESS, FREEZE.ALL])
  })
  test('is reset with its slot, when the reset begins', () => {
    expect([reset(RESET_SCOPE.HOT, true), reset(RESET_SCOPE.HOT, false), resets]).toEqual([SUCCESS, SUCCESS, [[4, 8]]])
    expect([reset(RESET_SCOPE.HOT, true, 0x18), reset(RESET_SCOPE.PHB_COMPLETE, true)]).toEqual([
      PARAMETER,
      UNSUPPORTED,
    ])
  })
  test('of QEMU neither freezes nor has slot power nor takes injected errors', () => {
    make('qemu')
    expect([opal.freezeSet(0, PE, FREEZE.ALL), opal.freezeStatus(0, PE)]).toEqual([SUCCESS, FREEZE.NONE])
    expect([opal.reset(0, 8, RESET_SCOPE.FUNDAMENTAL, true), opal.errInject(0, PE, 0, 0, 0n, 0n)]).toEqual([
      HARDWARE,
      UNSUPPORTED,
    ])
  })
})
