/**
 * What a 48-bit unit as QEMU 11.1 shows it does with every single bit of its tables and with every size of a command.
 * Masks and codes are written by hand from the specification and from recordings; none of them comes from `spec/`.
 */
import { ACCESS, DmaFabric, InterruptController, Trace } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { AT, BareUnit, IOVA, NIC } from './bare-unit.test-kit.ts'

const UNIT = { cap: 0x80d2_008c_222f_0606n, ecap: 0xf42n, haw: 48 }
const QEMU = { ...UNIT, personality: 'qemu' } as const
const LEVEL4 = 0x11_0000
const LEVEL3 = 0x11_1000
const LEVEL2 = 0x11_2000 + 0x91 * 8
const LEVEL1 = 0x11_3000 + 0x145 * 8
const CONTEXT = AT.CONTEXT + NIC * 16

const started = (options: object = UNIT): BareUnit => new BareUnit(options).start().context(NIC).map(0x200_0003n)

/** The bits of the word at `hpa` that, set alone beside its value, end a write with `status`. */
function bitsThatGive(status: number, hpa: number, options: object, prepare?: (m: BareUnit) => void): string {
  let mask = 0n
  for (let bit = 0n; bit < 64n; bit++) {
    const m = started(options)
    prepare?.(m)
    const value = m.word(hpa)
    m.put(hpa, value | (1n << bit))
    if ((value >> bit) % 2n === 0n && m.write(IOVA).status === status) mask |= 1n << bit
  }
  return `0x${mask.toString(16)}`
}
/** A leaf of 2 MiB at 32 MiB, one of 1 GiB at 0. */
const large = (m: BareUnit): void => m.put(LEVEL2, 0x200_0083n)
const huge = (m: BareUnit): void => m.put(LEVEL3, 0x83n)
/** The context entry starts one level lower. */
const threeLevels = (m: BareUnit): void => void m.context(NIC, { table: LEVEL3, width: 1 })
const statusOf = (low: bigint, high: bigint, options: object = UNIT): number => {
  const m = started(options)
  m.put(CONTEXT, low, high)
  return m.write(IOVA).status
}
/** A context entry's low word whose table fits its width. */
const tableFor = (aw: bigint): bigint => BigInt(aw === 1n ? LEVEL3 : LEVEL4) | 1n
/** What each translation type ends in on a unit. */
const byType = (ecap: bigint): readonly number[] =>
  [0x1n, 0x5n, 0x9n, 0xdn].map((low) => statusOf(BigInt(LEVEL4) | low, 0x102n, { ...UNIT, ecap }))
const byRegister = (m: BareUnit, address: bigint): void => {
  m.store(0xf0, address, 8)
  m.store(0xf8, 0xb003_0001_0000_0000n, 8)
}
const byQueue = (m: BareUnit, address: bigint): void => m.queue([0x1_0032n, address])
/** A port of NIC, and what reached the CPUs. The page below the window is mapped, and so are pages of the window. */
const rig = (
  options: object = UNIT,
): { m: BareUnit; port: ReturnType<DmaFabric['port']>; pending: () => readonly number[] } => {
  const m = started(options)
  m.put(LEVEL3 + 3 * 8, 0x11_4003n)
  m.put(0x11_4000 + 0x1f6 * 8, 0x11_5003n, 0x11_6003n)
  m.put(0x11_5000 + 511 * 8, 0x210_0003n)
  m.put(0x11_6000, 0x211_0003n)
  m.put(0x11_6000 + 0x100 * 8, 0x212_0003n)
  const interrupts = new InterruptController()
  const bus = new DmaFabric(m.memory, interrupts, new Trace())
  bus.addUnit(m.unit)
  return { m, port: bus.port(0, NIC), pending: () => interrupts.pending }
}
const MESSAGE = Uint8Array.of(0x41, 0, 0, 0)

describe.each([
  ['specification', UNIT],
  ['qemu', QEMU],
])('reserved bits, %s', (_personality, options) => {
  test('of a root entry', () => {
    expect(bitsThatGive(0x0a, AT.ROOT, options)).toBe('0xffff000000000ffe')
    expect(bitsThatGive(0x0a, AT.ROOT + 8, options)).toBe('0xffffffffffffffff')
  })
  test('of a context entry', () => {
    expect(bitsThatGive(0x0b, CONTEXT, options)).toBe('0xffff000000000ff0')
    expect(bitsThatGive(0x0b, CONTEXT + 8, options)).toBe('0xffffffffff000080')
  })
  test('of entries that point to tables; PS makes lower ones misaligned leaves', () => {
    expect(bitsThatGive(0x0c, LEVEL4, options)).toBe('0x400f000000000880')
    expect(bitsThatGive(0x0c, LEVEL3, options)).toBe('0x400f000000000880')
    expect(bitsThatGive(0x0c, LEVEL2, options)).toBe('0x400f000000000880')
  })
  test('of leaves', () => {
    expect(bitsThatGive(0x0c, LEVEL1, options)).toBe('0x400f000000000800')
    expect(bitsThatGive(0x0c, LEVEL2, options, large)).toBe('0x400f0000001ff800')
    expect(bitsThatGive(0x0c, LEVEL3, options, huge)).toBe('0x400f00003ffff800')
  })
  test('of leaves with snoop control: SNP is free', () => {
    const snooping = { ...options, ecap: UNIT.ecap | 0x80n }
    expect(bitsThatGive(0x0c, LEVEL1, snooping)).toBe('0x400f000000000000')
    expect(bitsThatGive(0x0c, LEVEL2, snooping, large)).toBe('0x400f0000001ff000')
  })
  test('of a 39-bit unit begin at bit 39', () => {
    const narrow = { ...options, cap: 0x80d2_008c_2226_0206n, haw: 39 }
    expect(bitsThatGive(0x0a, AT.ROOT, narrow)).toBe('0xffffff8000000ffe')
    expect(bitsThatGive(0x0b, CONTEXT, narrow, threeLevels)).toBe('0xffffff8000000ff0')
    expect(bitsThatGive(0x0c, LEVEL1, narrow, threeLevels)).toBe('0x400fff8000000800')
  })
})

describe('a context entry', () => {
  const codes = [0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n]

  test('takes the widths that SAGAW names: 39 bits (here over the same tables) and 48', () => {
    expect(codes.map((aw) => statusOf(tableFor(aw), 0x100n | aw))).toEqual([3, 0, 0, 3, 3, 3, 3, 3])
    const narrow = { ...UNIT, cap: 0x80d2_008c_2226_0206n, haw: 39 }
    expect(codes.map((aw) => statusOf(tableFor(aw), 0x100n | aw, narrow))).toEqual([3, 0, 3, 3, 3, 3, 3, 3])
  })
  test('takes translation type 0, 2 with pass-through, 1 with device TLBs', () => {
    expect(byType(0xf42n)).toEqual([0, 3, 0, 3])
    expect(byType(0xf46n)).toEqual([0, 0, 0, 3])
    expect(byType(0xf02n)).toEqual([0, 3, 3, 3])
  })
  test('hides each of its faults with FPD, those of the root entry not', () => {
    const recorded = (hpa: number, value: bigint): boolean => {
      const m = started()
      m.put(CONTEXT, BigInt(LEVEL4) | 3n)
      m.put(hpa, value)
      expect(m.write(IOVA).status).not.toBe(0)
      return m.load(0x34) !== 0n
    }
    expect([
      recorded(CONTEXT, 2n),
      recorded(CONTEXT, 0x8000_0003n),
      recorded(LEVEL4, 0n),
      recorded(LEVEL4, 0x8000_0003n),
      recorded(LEVEL1, 0x800_0000_0803n),
      recorded(LEVEL1, 0xfee0_0003n),
    ]).toEqual([false, false, false, false, false, false])
    expect([recorded(AT.ROOT, 0n), recorded(AT.ROOT, 3n), recorded(AT.ROOT, 0x8000_0001n)]).toEqual([true, true, true])
  })
})

describe('an address', () => {
  test('indexes each level with nine bits', () => {
    const m = started()
    m.put(LEVEL4 + 511 * 8, 0x11_1003n)
    m.put(0x11_1000 + 511 * 8, 0x11_2003n)
    m.put(0x11_2000 + 511 * 8, 0x11_3003n)
    m.put(0x11_3000 + 511 * 8, 0x230_0003n)
    expect(m.write(0xffff_ffff_f008n)).toMatchObject({ status: 0, hpa: 0x230_0008, bytes: 8 })
    expect(m.write(0xffff_ffff_e008n).status).toBe(5)
    expect(m.write(0x1_0000_0000_0000n).status).toBe(4)
    expect(m.read(0xffff_ffff_ffff_f000n).status).toBe(4)
  })
  test('is answered up to the end of its leaf', () => {
    const m = started()
    m.put(LEVEL3 + 8, 0x83n)
    m.put(0x11_2000, 0x20_0083n)
    expect(
      [0x4000_0ff0n, 0x7fff_fff8n, 0x1f_fff8n].map((iova) => m.dma(NIC, ACCESS.READ, iova, { length: 4096 })),
    ).toMatchObject([
      { hpa: 0xff0, bytes: 4096 },
      { hpa: 0x3fff_fff8, bytes: 8 },
      { hpa: 0x3f_fff8, bytes: 8 },
    ])
  })
})

describe('a page-selective invalidation', () => {
  const masks = Array.from({ length: 20 }, (_, am) => am)
  /** Address masks for which naming a page `distance` bytes beside the cached one drops it. */
  const dropping = (distance: bigint, command: (m: BareUnit, address: bigint) => void): number[] =>
    masks.filter((am) => {
      const m = started()
      m.write(IOVA)
      m.map(0x200_1003n)
      command(m, (IOVA ^ distance) | BigInt(am))
      return m.write(IOVA).hpa === 0x200_1000
    })

  test.each([
    ['register', byRegister],
    ['queue', byQueue],
  ])('takes masks 0 to 18, by %s', (_name, command) => {
    expect(dropping(0n, command)).toEqual(masks.slice(0, 19))
    expect(dropping(0x1000n, command)).toEqual(masks.slice(1, 19))
    expect(dropping(0x20_0000n, command)).toEqual(masks.slice(10, 19))
    expect(dropping(0x2000_0000n, command)).toEqual([18])
    expect(dropping(0x4000_0000n, command)).toEqual([])
    expect(dropping(0x40n, command)).toEqual(masks.slice(0, 19))
  })
  test('drops a large leaf whichever of its pages is named, and leaves its neighbour', () => {
    const m = started()
    large(m)
    m.put(LEVEL2 + 8, 0x220_0083n)
    const addresses = [0x1220_0000n, 0x1240_0000n]
    for (const iova of addresses) m.write(iova)
    m.put(LEVEL2, 0x260_0083n, 0x280_0083n)
    byRegister(m, 0x123f_f000n)
    expect(addresses.map((iova) => m.write(iova).hpa)).toEqual([0x260_0000, 0x220_0000])
  })
})

test('a device-selective context invalidation masks function bits from the top', () => {
  const functions = [0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18]
  const dropped = (mask: bigint): number[] => {
    const m = started()
    for (const fn of functions) m.context(fn, { table: LEVEL4, domain: 1 }).write(IOVA, fn)
    for (const fn of functions) m.put(AT.CONTEXT + fn * 16, 0n, 0n)
    m.queue([0x12_0001_0031n | (mask << 48n), 0n], [0xd2n, 0n])
    return functions.filter((fn) => m.write(IOVA, fn).status === 2)
  }
  expect(dropped(0n)).toEqual([0x12])
  expect(dropped(1n)).toEqual([0x12, 0x16])
  expect(dropped(2n)).toEqual([0x10, 0x12, 0x14, 0x16])
  expect(dropped(3n)).toEqual(functions.slice(0, 8))
})

describe('the interrupt window', () => {
  test('takes aligned writes of four bytes as messages and swallows the rest, first and last dword included', () => {
    const { m, port, pending } = rig()
    const bytes = new Uint8Array(8).fill(0xff)
    expect([1, 2, 8].map((n) => port.write(0xfee0_0000n, bytes.subarray(0, n)))).toEqual([0, 0, 0])
    expect([port.write(0xfee0_0002n, MESSAGE), pending()]).toEqual([0, []])
    expect([port.write(0xfeef_fffcn, MESSAGE), port.write(0xfee0_0000n, Uint8Array.of(0x42, 0, 0, 0))]).toEqual([0, 0])
    expect(pending()).toEqual([0x41, 0x42])
    expect([port.read(0xfee0_0000n, bytes), [...bytes]]).toEqual([0, [0, 0, 0, 0, 0, 0, 0, 0]])
    expect([m.load(0x34), m.word(0x211_0000)]).toEqual([0n, 0n])
  })
  test('cuts a transfer at both ends: what lies outside is translated', () => {
    const { m, port } = rig()
    expect(port.write(0xfedf_fff8n, new Uint8Array(16).fill(0x11))).toBe(0)
    expect(port.write(0xfeef_fff8n, new Uint8Array(16).fill(0x22))).toBe(0)
    expect([m.word(0x210_0ff8), m.word(0x211_0000), m.word(0x212_0000)]).toEqual([
      0x1111_1111_1111_1111n,
      0n,
      0x2222_2222_2222_2222n,
    ])
  })
  test('needs no context entry, and is there with translation off', () => {
    const { m, port, pending } = rig()
    m.put(CONTEXT, 0n, 0n)
    expect(port.write(0xfee0_0000n, MESSAGE)).toBe(0)
    m.store(0x18, 0)
    expect(port.write(0xfee0_0000n, Uint8Array.of(0x43, 0, 0, 0))).toBe(0)
    expect(pending()).toEqual([0x41, 0x43])
  })
})
