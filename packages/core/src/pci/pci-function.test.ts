import { describe, expect, test } from 'vitest'
import { AT, load32, store32, testBus } from './pci-models.test-kit.ts'
import { DMA } from '../dma/request.ts'
import type { MmioWindow } from '../memory/backing.ts'

const COMMAND = 4
const answer = (value: bigint): MmioWindow => ({ load: () => value, store: () => undefined })

describe('BAR decoding', () => {
  test('a BAR answers while COMMAND.Memory is on, where its register says', () => {
    const { put, memory } = testBus()
    const fn = put(0, 1, 0, { bars: [{ index: 0, size: 0x1000, window: answer(7n) }] })
    fn.writeConfig(0x10, 4, 0xfe80_0000)
    expect([fn.barAddress(0), fn.barRegister(0)]).toEqual([undefined, 0xfe80_0000])
    fn.writeConfig(COMMAND, 2, 2)
    expect([fn.barAddress(0), load32(memory, 0xfe80_0ffc), memory.whatIs(0xfe80_0000)]).toEqual([
      0xfe80_0000,
      7,
      '0000:00:01.0 BAR0',
    ])
    fn.writeConfig(0x10, 4, 0xfe90_0000)
    expect([load32(memory, 0xfe80_0000), load32(memory, 0xfe90_0000)]).toEqual([undefined, 7])
    fn.writeConfig(COMMAND, 2, 0)
    expect(memory.whatIs(0xfe90_0000)).toBeUndefined()
  })
  test('an address of 0 and one beyond physical memory decode nothing', () => {
    const { put } = testBus()
    const fn = put(0, 1, 0, { command: 2, bars: [{ index: 0, size: 0x1000, wide: true }] })
    expect(fn.barAddress(0)).toBeUndefined()
    fn.writeConfig(0x10, 4, 0xffff_ffff)
    fn.writeConfig(0x14, 4, 0xffff_ffff)
    expect(fn.barAddress(0)).toBeUndefined()
  })
  test('the ROM needs its own enable bit too', () => {
    const { put } = testBus()
    const fn = put(0, 1, 0, { command: 2, bars: [{ index: 6, size: 0x1000, space: 'rom' }] })
    fn.writeConfig(0x30, 4, 0xfe80_0000)
    expect(fn.barAddress(6)).toBeUndefined()
    fn.writeConfig(0x30, 4, 0xfe80_0001)
    expect(fn.barAddress(6)).toBe(0xfe80_0000)
  })
  test('an I/O BAR is reached through the function, and reads all ones while off', () => {
    const { put } = testBus()
    const fn = put(0, 1, 0, { bars: [{ index: 1, size: 32, space: 'io', at: 0xc000, window: answer(5n) }] })
    expect([fn.ioLoad(1, 0, 2), fn.barAddress(1)]).toEqual([0xffffn, undefined])
    fn.writeConfig(COMMAND, 2, 1)
    expect([fn.ioLoad(1, 0, 2), fn.barAddress(1)]).toEqual([5n, 0xc000])
  })
  test('a display answers legacy VGA addresses while it is there, COMMAND or not', () => {
    const { put, memory, pci } = testBus()
    const fn = put(0, 1, 0, { vga: { memory: answer(7n), ports: answer(9n) } })
    expect([fn.portLoad(0x3cc, 1), put(0, 2, 0).portLoad(0x3cc, 2)]).toEqual([9n, 0xffffn])
    const into = new Uint8Array(1)
    memory.read(0xa_0000, into)
    expect(into[0]).toBe(7)
    pci.remove(fn)
    memory.read(0xa_0000, into)
    expect([fn.portLoad(0x3cc, 1), into[0]]).toEqual([0xffn, 0])
  })
  test('a function behind a bridge decodes only what the bridge passes on', () => {
    const { put } = testBus()
    const bridge = put(0, 1, 0, { port: 4, bridge: [1, 1] })
    const fn = put(1, 0, 0, { port: 0, command: 2, bars: [{ index: 0, size: 0x1000, at: 0xfe60_0000 }] })
    expect(fn.barAddress(0)).toBeUndefined()
    bridge.writeConfig(COMMAND, 2, 2)
    expect(fn.barAddress(0)).toBe(0xfe60_0000)
    bridge.writeConfig(0x20, 4, 0xfd00_fd00)
    expect(fn.barAddress(0)).toBeUndefined()
  })
})

describe('mastering the bus', () => {
  test('DMA follows COMMAND.BusMaster', () => {
    const { put } = testBus()
    const fn = put(0, 1, 0)
    expect(fn.dma.write(0x1000n, new Uint8Array(4))).toBe(DMA.DISABLED)
    fn.writeConfig(COMMAND, 2, 4)
    expect(fn.dma.write(0x1000n, new Uint8Array(4))).toBe(DMA.OK)
  })
  test('No Snoop is taken off the port when software disables it', () => {
    const { put } = testBus()
    const fn = put(0, 1, 0, { port: 0 })
    fn.dma.request.noSnoop = true
    expect(fn.noSnoopEnabled).toBe(true)
    fn.writeConfig(AT.express + 8, 2, 0)
    expect([fn.noSnoopEnabled, fn.dma.request.noSnoop]).toEqual([false, false])
  })
  test('a conventional function has no No Snoop', () => {
    expect(testBus().put(0, 1, 0).noSnoopEnabled).toBe(false)
  })
})

describe('power states', () => {
  test('D3hot stops decoding and DMA', () => {
    const { put } = testBus()
    const fn = put(0, 1, 0, { command: 6, pm: [0, 8], bars: [{ index: 0, size: 0x1000, at: 0xfe80_0000 }] })
    fn.writeConfig(AT.pm + 4, 2, 3)
    expect([fn.powerState, fn.barAddress(0), fn.dma.enabled]).toEqual([3, undefined, false])
    fn.writeConfig(AT.pm + 4, 2, 0)
    expect([fn.powerState, fn.barAddress(0), fn.dma.enabled]).toEqual([0, 0xfe80_0000, true])
  })
  test('leaving D3hot resets a function without No_Soft_Reset', () => {
    const { put } = testBus()
    const fn = put(0, 1, 0, { command: 6, pm: [0, 0] })
    fn.writeConfig(AT.pm + 4, 2, 3)
    fn.writeConfig(AT.pm + 4, 2, 0)
    expect(fn.readConfig(COMMAND, 2)).toBe(0)
  })
  test('a state that the function does not have is refused', () => {
    const { put } = testBus()
    const fn = put(0, 1, 0, { pm: [0x200, 0] })
    fn.writeConfig(AT.pm + 4, 2, 2)
    expect(fn.powerState).toBe(0)
    fn.writeConfig(AT.pm + 4, 2, 1)
    expect(fn.powerState).toBe(1)
  })
})

describe('reset', () => {
  test('function level reset restores the registers, resets the model and reads as 0', () => {
    const { put, trace } = testBus()
    const seen: string[] = []
    trace.on('reset', (event) => seen.push(event.how))
    const fn = put(0, 1, 0, { port: 0, deviceCapabilities: 0x1000_0000, command: 6, reset: () => seen.push('model') })
    fn.writeConfig(AT.express + 8, 2, 0x8000 | fn.readConfig(AT.express + 8, 2))
    expect(seen).toEqual(['flr', 'model'])
    expect([fn.readConfig(COMMAND, 2), fn.readConfig(AT.express + 8, 2), fn.dma.enabled]).toEqual([0, 0x2810, false])
  })
  test('conventional functions have it in Advanced Features', () => {
    const { put } = testBus()
    const fn = put(0, 1, 0, { command: 4, advancedFeatures: true })
    fn.writeConfig(AT.af + 4, 1, 1)
    expect([fn.readConfig(COMMAND, 2), fn.readConfig(AT.af + 4, 1)]).toEqual([0, 0])
  })
  test('Bridge Control resets what lies behind, however deep, and hides it while held', () => {
    const { put, pci } = testBus()
    const root = put(0, 1, 0, { port: 4, bridge: [1, 2], command: 6 })
    const bridge = put(1, 0, 0, { port: 7, bridge: [2, 2], command: 6 })
    const fn = put(2, 1, 0, { command: 6 })
    root.writeConfig(0x3e, 2, 0x40)
    expect(pci.readConfig(0, fn.bdf, 0, 4)).toBe(0xffff_ffff)
    root.writeConfig(0x3e, 2, 0)
    expect([root, bridge, fn].map((one) => one.readConfig(COMMAND, 2))).toEqual([6, 0, 0])
    expect(fn.requester).toBe(0x200)
  })
})

test('a model hears of configuration writes after they took effect', () => {
  const { put } = testBus()
  const heard: number[][] = []
  const fn = put(0, 1, 0, { configWritten: (offset, size) => heard.push([offset, size]) })
  fn.writeConfig(COMMAND, 2, 4)
  expect(heard).toEqual([[4, 2]])
})

test('the window of a BAR gets stores', () => {
  const { put, memory } = testBus()
  const stored: bigint[] = []
  const window: MmioWindow = { load: () => 0n, store: (_offset, _size, value) => stored.push(value) }
  put(0, 1, 0, { command: 2, bars: [{ index: 0, size: 0x1000, at: 0xfe80_0000, window }] })
  store32(memory, 0xfe80_0010, 0xabcd)
  expect(stored).toEqual([0xabcdn])
})
