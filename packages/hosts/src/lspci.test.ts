import { describe, expect, test } from 'vitest'
import { recordedMachine } from './lab.ts'
import { parseLspci } from './lspci.ts'
import { hexLines, lspciText } from './lspci-text.test-kit.ts'
import { type DescribedFunction, nameOfFunction } from './machine-description.ts'

const machine = recordedMachine('q35-intel-sc')
const { functions } = machine
const withBars = (fns: readonly DescribedFunction[]) => fns.map((f) => f.bars.map((b) => [b.index, b.size, b.space]))
const configAt = (bdf: number): Uint8Array => functions.find((f) => f.bdf === bdf)?.config as Uint8Array
const line = (offset: number, n = 16): string =>
  `${offset.toString(16).padStart(2, '0')}: ${Array(n).fill('00').join(' ')}`

test('reads configuration spaces with and without domains', () => {
  const plain = parseLspci(lspciText(functions))
  expect(plain.functions.map((f) => f.config)).toEqual(machine.functions.map((f) => f.config))
  expect(parseLspci(lspciText(functions, { domain: true, verbose: true })).functions.map(nameOfFunction)).toEqual(
    machine.functions.map(nameOfFunction),
  )
})

test('takes BAR sizes from the lines of -vv', () => {
  const read = parseLspci(lspciText(functions, { domain: true, verbose: true }))
  expect(read.assumed).toEqual([])
  expect(withBars(read.functions)).toEqual(withBars(machine.functions))
})

test('assumes small BARs without them, and says so', () => {
  const read = parseLspci(lspciText(functions))
  const edu = read.functions.find((f) => f.bdf === 8)
  expect(edu?.bars).toEqual([{ index: 0, size: 4096, space: 'memory', wide: false, prefetchable: false }])
  expect(read.assumed).toContain('0000:00:01.0: BAR 0: 4096 bytes: lspci -v tells the size')
})

test('says when ACS cannot be known: -xxx ends before it', () => {
  const port = functions.find((f) => f.bdf === 0x18) as DescribedFunction
  const { assumed } = parseLspci(lspciText([{ ...port, config: port.config.subarray(0, 256) }], { verbose: true }))
  expect(assumed).toEqual([
    expect.stringMatching(/^0000:00:03\.0: no extended capabilities .* groups may come out larger/),
  ])
})

test('matches -v lines to BARs by address', () => {
  const text = `00:01.0 Class
\tMemory at fe800000 (32-bit, non-prefetchable) [size=1M]
\tKernel driver in use: vfio-pci
${hexLines(configAt(8))}`
  const [edu] = parseLspci(text).functions
  expect(edu?.bars[0]?.size).toBe(1 << 20)
  expect(edu?.driver).toBe('vfio-pci')
})

test('reads short dumps: 64 bytes have no capabilities', () => {
  const read = parseLspci(`00:01.0 Class\n${hexLines(configAt(8).subarray(0, 64))}\n`)
  expect(read.functions[0]?.config.length).toBe(256)
  expect(read.assumed[0]).toBe('0000:00:01.0: no capabilities: lspci -x shows 64 bytes; -xxxx shows them')
})

test('keeps domains apart', () => {
  const config = hexLines(configAt(8))
  const read = parseLspci(`0000:00:01.0 A\n${config}\n\n10000:00:01.0 B\n${config}\n`)
  expect(read.functions.map((f) => f.segment)).toEqual([0, 0x10000])
})

test('shrinks assumed BARs that would overlap', () => {
  const config = configAt(8).slice(0, 64)
  config.set([0x00, 0x00, 0x80, 0xfe, 0x00, 0x04, 0x80, 0xfe], 0x10)
  const read = parseLspci(`00:01.0 Class\n${hexLines(config)}\n`)
  expect(read.functions[0]?.bars.map((b) => b.size)).toEqual([1024, 1024])
})

test('reads a CardBus bridge as having one BAR', () => {
  const config = configAt(8).slice(0, 64)
  config.set([0x02], 0x0e)
  config.set([1, 2, 3, 4], 0x18)
  expect(parseLspci(`00:01.0 Class\n${hexLines(config)}\n`).functions[0]?.bars.length).toBe(1)
})

describe('refuses with one line that names source and line:', () => {
  const head = '00:01.0 Class'
  test('a line of hex that is cut', () => {
    expect(() => parseLspci(`${head}\n${line(0, 7)}`, 'dump.txt')).toThrow(
      /^dump\.txt:2: "00: .*": 7 bytes; the line is cut, 16 are needed$/,
    )
    expect(() => parseLspci(`${head}\n${line(0)} 0`, 'dump.txt')).toThrow('dump.txt:2:')
  })
  test('a line that is neither', () => {
    expect(() => parseLspci(`${head}\n00: zz`, 'dump.txt')).toThrow(
      'dump.txt:2: "00: zz": not an offset and up to 16 bytes',
    )
    expect(() => parseLspci('hello', 'dump.txt')).toThrow('dump.txt:1: "hello": neither a function nor a line of hex')
    expect(() => parseLspci(line(0), 'dump.txt')).toThrow('a line of hex before any function')
    expect(() => parseLspci('', 'dump.txt')).toThrow('dump.txt:1: no function found')
  })
  test('offsets out of order', () => {
    expect(() => parseLspci(`${head}\n${line(0)}\n${line(0x20)}`, 'dump.txt')).toThrow(
      /^dump\.txt:3: "20: .*": offset 0x10 is next$/,
    )
  })
  test('a function described twice', () => {
    const text = `${head}\n${Array.from({ length: 4 }, (_, i) => line(16 * i)).join('\n')}\n\n${head}`
    expect(() => parseLspci(text, 'dump.txt')).toThrow(
      /^dump\.txt:7: "00:01\.0 Class": this function was described before$/,
    )
  })
  test('a dump that ends early', () => {
    const text = `${head}\n${Array.from({ length: 9 }, (_, i) => line(16 * i)).join('\n')}`
    expect(() => parseLspci(text, 'dump.txt')).toThrow(
      'dump.txt:1: 0000:00:01.0 has 144 bytes; 64 (-x), 256 (-xxx) or 4096 (-xxxx)',
    )
  })
})
