import { describe, expect, test } from 'vitest'
import { buildConfig } from '../config-builder.ts'
import { RecordedFunction } from '../recorded-function.ts'
import { placed } from '../placed.ts'
import { Rig } from '../rig.test-kit.ts'
import { StandardVga } from './standard-vga.ts'

const AT = '00:08.0'
const TEXT = 0xb_8000
const GRAPHICS = 0xa_0000

class Display {
  readonly rig: Rig
  constructor(bootText?: string) {
    const bar = { space: 'memory', wide: false } as const
    const bars = [
      { ...bar, index: 0, size: 0x100_0000, prefetchable: true },
      { ...bar, index: 2, size: 0x1000, prefetchable: false },
    ]
    const config = buildConfig({ vendor: 0x1234, device: 0x1111, classCode: 0x030000, bars })
    const shown = new RecordedFunction({ name: 'recorded', config, bars })
    const model = (): StandardVga => new StandardVga(shown, bootText === undefined ? {} : { bootText })
    const addresses = { 0: 0xfc00_0000, 2: 0xfea1_6000 }
    this.rig = new Rig([placed('vga', { at: AT, addresses }, [], model)])
  }
  in(port: number, size: 1 | 2 | 4 = 1): number {
    return Number(this.rig.fn(AT).portLoad(port, size))
  }
  out(port: number, value: number, size: 1 | 2 | 4 = 1): void {
    this.rig.fn(AT).portStore(port, size, BigInt(value))
  }
  /** Index and data in one word. */
  set(port: number, index: number, value: number): void {
    this.out(port, index | (value << 8), 2)
  }
  get(port: number, index: number): number {
    this.out(port, index)
    return this.in(port + 1)
  }
  peek(hpa: number, bytes: number): number[] {
    return [...this.rig.ram(hpa, bytes)]
  }
  poke(hpa: number, ...bytes: number[]): void {
    this.rig.fill(hpa, bytes)
  }
  /** 320 by 200 in 256 colours does without chains here: four planes at a0000, byte by byte. */
  planar(): void {
    this.out(0x3c2, 0x63)
    this.set(0x3c4, 2, 0xf)
    this.set(0x3c4, 4, 0x6)
    this.set(0x3ce, 5, 0)
    this.set(0x3ce, 6, 5)
    this.set(0x3ce, 8, 0xff)
    this.set(0x3d4, 0x17, 0xe3)
  }
}

describe('the boot display', () => {
  test('is in colour text mode and shows the text on its first line, grey on black', () => {
    const display = new Display('Hi')
    expect(display.in(0x3cc)).toBe(0x67)
    expect(display.peek(TEXT, 6)).toEqual([0x48, 7, 0x69, 7, 0x20, 7])
    expect(display.peek(0xb_fffc, 4)).toEqual([0x20, 7, 0x20, 7])
    expect(display.peek(GRAPHICS, 2)).toEqual([0xff, 0xff])
  })
  test('keeps what is written, characters in plane 0 and attributes in plane 1', () => {
    const display = new Display('Hi')
    display.poke(TEXT, 0x41, 0x1f)
    expect(display.peek(TEXT, 4)).toEqual([0x41, 0x1f, 0x69, 7])
    display.rig.enable(AT, 2)
    expect(display.rig.load(AT, 0)).toBe(0x1f41n)
  })
  test('answers with COMMAND zero', () => {
    const display = new Display('Hi')
    display.rig.enable(AT, 0)
    expect([display.in(0x3cc), display.peek(TEXT, 1)]).toEqual([0x67, [0x48]])
  })
})

describe('ports', () => {
  test('of the monochrome display are nobody’s in colour, and the other way round', () => {
    const display = new Display('')
    expect([display.in(0x3b4), display.in(0x3ba), display.in(0x3d4)]).toEqual([0xff, 0xff, 0x0d])
    display.out(0x3c2, 0x66)
    expect([display.in(0x3b4), display.in(0x3d4)]).toEqual([0x0d, 0xff])
  })
  test('take words as two bytes inside one run, and no doublewords', () => {
    const display = new Display('')
    display.set(0x3d4, 0x0e, 0x12)
    expect([display.in(0x3d4, 2), display.in(0x3da, 2) >>> 8, display.in(0x3c0, 4)]).toEqual([
      0x120e, 0xff, 0xffff_ffff,
    ])
    display.out(0x3d4, 0x3412_0f0e, 4)
    expect(display.get(0x3d4, 0x0e)).toBe(0x12)
    expect(display.in(0x3b0)).toBe(0xff)
  })
  test('stand in BAR 2 as well', () => {
    const display = new Display('')
    display.rig.enable(AT, 2)
    expect(display.rig.load(AT, 0x40c, 1, 2)).toBe(0x67n)
    display.rig.store(AT, 0x414, 0x1e, 1, 2)
    expect(display.in(0x3d4)).toBe(0x1e)
    expect(display.rig.load(AT, 0x800, 4, 2)).toBe(0n)
  })
  test('the status port toggles, and makes the attribute port expect an index', () => {
    const display = new Display('')
    expect([display.in(0x3c0), display.in(0x3da), display.in(0x3c0), display.in(0x3da)]).toEqual([0, 9, 0x20, 0])
    display.out(0x3c0, 0x10)
    display.out(0x3c0, 0xff)
    display.in(0x3da)
    display.out(0x3c0, 0x10)
    expect(display.in(0x3c1)).toBe(0xef)
  })
  test('bits that a register does not have stay zero', () => {
    const display = new Display('')
    for (const [index, bits] of [
      [0, 0x03],
      [1, 0x3d],
      [4, 0x0e],
      [6, 0],
    ] as const) {
      display.set(0x3c4, index, 0xff)
      expect(display.get(0x3c4, index)).toBe(bits)
    }
    display.set(0x3ce, 5, 0xff)
    expect([display.get(0x3ce, 5), display.get(0x3ce, 9)]).toEqual([0x7b, 0])
    display.out(0x3c2, 0xff)
    expect(display.in(0x3cc)).toBe(0xef)
  })
  test('the first CRTC registers are locked, save one bit', () => {
    const display = new Display('')
    display.set(0x3d4, 0, 0)
    display.set(0x3d4, 7, 0)
    expect([display.get(0x3d4, 0), display.get(0x3d4, 7)]).toEqual([0x5f, 0x0f])
    display.set(0x3d4, 0x11, 0x0e)
    display.set(0x3d4, 0, 0)
    expect(display.get(0x3d4, 0)).toBe(0)
  })
  test('the palette counts through red, green and blue', () => {
    const display = new Display('')
    display.out(0x3c7, 6)
    expect([display.in(0x3c7), display.in(0x3c9), display.in(0x3c9), display.in(0x3c9)]).toEqual([3, 0x2a, 0x15, 0])
    expect([display.in(0x3c9), display.in(0x3c9)]).toEqual([0x2a, 0x2a])
    display.out(0x3c8, 255)
    for (const part of [1, 2, 3]) display.out(0x3c9, part)
    expect([display.in(0x3c8), display.in(0x3c7)]).toEqual([0, 0])
    display.out(0x3c7, 255)
    expect([display.in(0x3c9), display.in(0x3c9), display.in(0x3c9)]).toEqual([1, 2, 3])
  })
})

const planar = (): Display => {
  const display = new Display()
  display.planar()
  return display
}
describe('planes', () => {
  test('each of the four reads by itself', () => {
    const display = planar()
    display.set(0x3c4, 2, 4)
    display.poke(GRAPHICS, 0x5a)
    const read = [0, 1, 2, 3].map((plane) => {
      display.set(0x3ce, 4, plane)
      return display.peek(GRAPHICS, 1)[0]
    })
    expect(read.filter((value) => value === 0x5a)).toHaveLength(1)
    expect(read[2]).toBe(0x5a)
  })
  test('set and reset, rotation, logic and bit mask shape a write', () => {
    const display = planar()
    display.poke(GRAPHICS, 0xf0)
    display.peek(GRAPHICS, 1)
    display.set(0x3ce, 3, 0x18 | 4)
    display.set(0x3ce, 8, 0x3f)
    display.poke(GRAPHICS, 0x0f)
    expect(display.peek(GRAPHICS, 1)).toEqual([0xc0])
    display.set(0x3ce, 3, 0)
    display.set(0x3ce, 1, 1)
    display.set(0x3ce, 0, 1)
    display.poke(GRAPHICS, 0)
    expect(display.peek(GRAPHICS, 1)).toEqual([0xff])
  })
  test('write mode 1 copies the latch, mode 2 paints a colour, mode 3 masks by the byte', () => {
    const display = planar()
    display.poke(GRAPHICS, 0x33)
    display.peek(GRAPHICS, 1)
    display.set(0x3ce, 5, 1)
    display.poke(GRAPHICS + 1, 0)
    expect(display.peek(GRAPHICS + 1, 1)).toEqual([0x33])
    display.set(0x3ce, 5, 2)
    display.poke(GRAPHICS + 2, 1)
    expect(display.peek(GRAPHICS + 2, 1)).toEqual([0xff])
    display.peek(GRAPHICS + 3, 1)
    display.set(0x3ce, 5, 3)
    display.set(0x3ce, 0, 1)
    display.poke(GRAPHICS + 3, 0x18)
    expect(display.peek(GRAPHICS + 3, 1)).toEqual([0x18])
  })
  test('read mode 1 tells where the colour is', () => {
    const display = planar()
    display.set(0x3c4, 2, 1)
    display.poke(GRAPHICS, 0xf0)
    display.set(0x3ce, 2, 1)
    display.set(0x3ce, 7, 0xf)
    display.set(0x3ce, 5, 8)
    expect(display.peek(GRAPHICS, 1)[0]).toBe(0xf0)
    display.set(0x3ce, 7, 0)
    expect(display.peek(GRAPHICS, 1)[0]).toBe(0xff)
  })
  test('the window moves with the memory map, and chained planes are in a row', () => {
    const display = planar()
    expect(display.peek(0xb_0000, 1)).toEqual([0xff])
    display.set(0x3c4, 4, 0xe)
    display.set(0x3d4, 0x14, 0x40)
    display.poke(GRAPHICS, 1, 2, 3, 4, 5)
    expect(display.peek(GRAPHICS, 5)).toEqual([1, 2, 3, 4, 5])
    display.rig.enable(AT, 2)
    expect(display.rig.load(AT, 0)).toBe(0x0403_0201n)
    display.set(0x3ce, 6, 1)
    expect([display.peek(0xa_0000, 1), display.peek(0xb_ffff, 1)]).toEqual([[1], [0]])
  })
})

test('a reset clears the registers, not the memory', () => {
  const display = new Display('Hi')
  display.rig.fn(AT).reset('bus')
  expect(display.in(0x3cc)).toBe(0)
  display.rig.fn(AT).writeConfig(0x10, 4, 0xfc00_0000)
  display.rig.enable(AT, 2)
  expect(display.rig.load(AT, 0, 1)).toBe(0x48n)
})
