import { ACCESS } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { BareUnit, RW } from './bare-unit.test-kit.ts'

const IOVA = 0x1234_5000n
const WRITE = { access: ACCESS.WRITE } as const

describe("QEMU's personality", () => {
  const qemu = { personality: 'qemu' as const, efr: 0x29d3n, capabilityHeader: 0x1f03_000f }
  test('translates a function once its entry was invalidated', () => {
    const unit = new BareUnit(qemu).fourLevels()
    expect(unit.ask(IOVA).hpa).toBe(0x1234_5000)
    expect(unit.command(0x2000_0000_0000_0010n).ask(IOVA).hpa).toBe(0x200_0000)
  })
  test('logs without address and domain, once for every four bytes', () => {
    const unit = new BareUnit(qemu).fourLevels().command(0x2000_0000_0000_0010n)
    unit.ask(0x9000n, WRITE)
    expect(unit.events()).toEqual([
      [0x200a_0000_0000_0010n, 0n],
      [0x200a_0000_0000_0010n, 0n],
    ])
  })
  test('drops a whole domain for one page', () => {
    const unit = new BareUnit(qemu).fourLevels().command(0x2000_0000_0000_0010n)
    unit.ask(IOVA)
    unit.put(0x11_3a28, RW | 0x200_1001n).command(0x3000_0001_0000_0000n, 0x9000n)
    expect(unit.ask(IOVA).hpa).toBe(0x200_1000)
  })
})
