import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, describe, expect, test } from 'vitest'
import { parseSize, readJson, readText } from './input.ts'

const folder = mkdtempSync(join(tmpdir(), 'ioasis-input-'))
afterAll(() => rmSync(folder, { recursive: true }))
const file = (name: string, content: string | Uint8Array): string => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

describe('numbers', () => {
  test('are read in hexadecimal, decimal and with units of 1024', () => {
    expect(['0x1000', '4096', '4K', '2m', '1G', '0x1k'].map((text) => parseSize(text, 'iova'))).toEqual([
      0x1000n,
      0x1000n,
      0x1000n,
      0x20_0000n,
      0x4000_0000n,
      0x400n,
    ])
  })
  test('may have 64 bits and no more', () => {
    expect(parseSize('0xffffffffffffffff', 'iova')).toBe(0xffff_ffff_ffff_ffffn)
    expect(() => parseSize('0x10000000000000000', 'iova')).toThrow('iova: "0x10000000000000000" is not a number')
  })
  test.each(['', '-1', '0x', '1.5', '4KB', 'ten'])('are refused by name and text: "%s"', (text) => {
    expect(() => parseSize(text, '--map')).toThrow(`--map: "${text}" is not a number of at most 64 bits`)
  })
})

describe('files', () => {
  test('are read as they are, or unpacked where their name ends in .gz', () => {
    expect(readText(file('plain', 'text'))).toBe('text')
    expect(readText(file('packed.gz', gzipSync('text')))).toBe('text')
  })
  test('that cannot be read are named, with the reason', () => {
    expect(() => readText(join(folder, 'absent'))).toThrow(/absent: no such file$/)
    expect(() => readText(folder)).toThrow(`${folder}: this is a folder; a file is needed`)
    expect(() => readText(file('cut.gz', gzipSync('text').subarray(0, 12)))).toThrow(
      /cut\.gz: the compressed file is cut$/,
    )
    expect(() => readText(file('other.gz', 'text'))).toThrow(/other\.gz: incorrect header check$/)
  })
  test('of JSON that is none are refused at line and column', () => {
    expect(readJson(file('good.json', '{"a": [1]}'))).toEqual({ a: [1] })
    expect(() => readJson(file('bad.json', '{\n  "a": 1,\n}'))).toThrow(/bad\.json:3:1: not JSON$/)
    expect(() => readJson(file('empty.json', ''))).toThrow(/empty\.json:1:1: not JSON$/)
  })
})
