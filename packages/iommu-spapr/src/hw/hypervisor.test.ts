/** The hypervisor's answers, in the order of QEMU's checks. */
import { HostMemory } from '@ioasis/core'
import { beforeEach, describe, expect, test } from 'vitest'
import { H } from '../spec/hypercall.ts'
import { RTAS } from '../spec/rtas.ts'
import { FirmwareLog } from './firmware-log.ts'
import { Hypervisor, TOKEN } from './hypervisor.ts'
import { TceTable } from './tce-table.ts'
import { VirtualPhb } from './virtual-phb.ts'

const LIOBN = 0x8000_0000
const BUID = 0x800_0000_2000_0000n
const PLACE = [0x800, 0x0800_0000, 0x2000_0000]
const HIGH = 0x0800_0000
const CELL = (word: number): number => word >>> 0

let memory: HostMemory
let phb: VirtualPhb
let log: FirmwareLog
let hv: Hypervisor
const make = (dynamic = true): Hypervisor =>
  new Hypervisor([phb], memory, log, { defaultWindow: { first: 0n, bytes: 0x4000_0000 }, dynamic })

beforeEach(() => {
  memory = new HostMemory()
  memory.addRam(0, 1 << 20)
  phb = new VirtualPhb('phb0', 0, BUID, [new TceTable(LIOBN), new TceTable(LIOBN + 1)])
  log = new FirmwareLog()
  hv = make()
})
const get = (lo: number): number => {
  const rc = hv.getTce(LIOBN, 0, lo)
  return rc === 0 ? hv.tceLo : rc
}

describe('hypercalls', () => {
  test('put an entry and get it back, whatever bits of the address lie inside its page', () => {
    expect(hv.putTce(LIOBN, 0, 0x1fff, 1, 0x2003)).toBe(H.SUCCESS)
    expect([get(0x1000), hv.tceHi]).toEqual([0x2003, 1])
  })
  test.each([
    ['a table that is none', () => hv.putTce(5, 0, 0, 0, 3)],
    ['a table without a window', () => hv.getTce(LIOBN + 1, HIGH, 0)],
    ['an address beyond the window', () => hv.putTce(LIOBN, 0, 0x4000_0000, 0, 3)],
    ['more entries than a table has', () => hv.stuffTce(LIOBN, 0, 0, 0, 0, 0x4_0001)],
    ['no entries to stuff', () => hv.stuffTce(LIOBN, 0, 0, 0, 0, 0)],
    ['a list of more than 512', () => hv.putTceIndirect(LIOBN, 0, 0, 0, 513)],
    ['a list that is not a page', () => hv.putTceIndirect(LIOBN, 0, 0, 0x800, 1)],
    ['an empty list', () => hv.putTceIndirect(LIOBN, 0, 0, 0, 0)],
  ])('refuse %s', (_, call) => {
    expect(call()).toBe(H.PARAMETER)
  })
  test('that run over the end keep what they wrote before it', () => {
    expect(hv.stuffTce(LIOBN, 0, 0x3fff_f000, 0, 0x1003, 2)).toBe(H.PARAMETER)
    expect(get(0x3fff_f000)).toBe(0x1003)
  })
  test('take a list of big-endian entries', () => {
    memory.write(0x4000, Uint8Array.of(0, 0, 0, 1, 0, 0, 0x20, 3, 0, 0, 0, 0, 0, 0, 0x30, 1))
    expect(hv.putTceIndirect(LIOBN, 0, 0x1000, 0x4000, 2)).toBe(H.SUCCESS)
    expect([get(0x1000), hv.tceHi, get(0x2000)]).toEqual([0x2003, 1, 0x3001])
  })
  test('stuff permission bits as they are given', () => {
    hv.stuffTce(LIOBN, 0, 0, 0, 0x7003, 3)
    expect([get(0x2000), get(0x3000)]).toEqual([0x7003, 0])
  })
})

const query = (outputs = 6): readonly number[] => hv.call(TOKEN.QUERY, PLACE, outputs)
const create = (pageShift = 16, windowShift = 30): readonly number[] =>
  hv.call(TOKEN.CREATE, [...PLACE, pageShift, windowShift], 4)
const remove = (liobn: number): number => CELL(hv.call(TOKEN.REMOVE, [liobn], 1)[0] as number)
const minus = (code: number): number => CELL(code)

describe('windows', () => {
  test('are told with six outputs and with five', () => {
    expect(query()).toEqual([0, 1, 0x20, 0, 0x107, 0])
    expect(query(5)).toEqual([0, 1, 0x8000_0000, 0x107, 0])
  })
  test('beside the default one start at bit 59', () => {
    expect(create()).toEqual([0, LIOBN + 1, 0x800_0000, 0])
    expect(query()[1]).toBe(0)
  })
  test('alone start where the default one did', () => {
    remove(LIOBN)
    expect(create()).toEqual([0, LIOBN, 0, 0])
  })
  test('are refused when there are two', () => {
    create()
    expect(create()[0]).toBe(minus(RTAS.HARDWARE))
  })
  test.each([
    ['a page size it has not', () => create(13)[0]],
    ['a window smaller than its page', () => create(16, 15)[0]],
    ['another bridge', () => hv.call(TOKEN.QUERY, [0x800, 0x0800_0000, 0x2000_0009], 6)[0]],
    ['too few outputs', () => query(4)[0]],
    ['too many inputs', () => hv.call(TOKEN.RESET, [...PLACE, 1], 1)[0]],
    ['a number that is none', () => remove(7)],
    ['a window that is not there', () => remove(LIOBN + 1)],
    ['a call that is none', () => hv.call(0x1234, PLACE, 1)[0]],
  ])('are refused for %s', (_, call) => {
    expect(call()).toBe(minus(RTAS.PARAMETER))
  })
  test('are refused where firmware does not offer them', () => {
    hv = make(false)
    expect(query()[0]).toBe(minus(RTAS.PARAMETER))
  })
  test('come back with the last removal, and not when the default one was the last', () => {
    create()
    remove(LIOBN)
    remove(LIOBN + 1)
    expect([phb.tables[0].entries, phb.tables[1].entries]).toEqual([0x4_0000, 0])
    remove(LIOBN)
    expect(phb.tables[0].entries).toBe(0)
  })
  test('are dropped by a reset, and the default one is empty', () => {
    create()
    hv.putTce(LIOBN, 0, 0, 0, 3)
    expect(hv.call(TOKEN.RESET, PLACE, 1)).toEqual([0])
    expect([get(0), query()[1]]).toEqual([0, 1])
  })
})

describe('the log', () => {
  test('is empty until somebody wants it', () => {
    hv.putTce(LIOBN, 0, 0, 0, 3)
    expect(log.calls).toEqual([])
  })
  test('keeps a run of stuffed ranges as one call', () => {
    log.wanted = true
    for (let i = 0; i < 4; i++) hv.stuffTce(LIOBN, 0, i << 21, 0, 0, 512)
    expect(log.calls).toMatchObject([{ call: 'H_STUFF_TCE', calls: 4, lastIoba: 0x80_0000n, args: { npages: 512 } }])
  })
  test('keeps pairs that changed nothing as one scan', () => {
    log.wanted = true
    for (let i = 0; i < 5; i++) {
      hv.getTce(LIOBN, 0, i << 12)
      hv.putTce(LIOBN, 0, i << 12, 0, i === 3 ? 0x1003 : 0)
    }
    expect(log.calls.map(({ call, calls }) => [call, calls])).toEqual([
      ['scan-clear', 3],
      ['H_GET_TCE', undefined],
      ['H_PUT_TCE', undefined],
      ['scan-clear', 1],
    ])
  })
})
