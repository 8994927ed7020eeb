import { expect, test } from 'vitest'
import { Names } from './names.ts'
import { payloadOf } from './payload.ts'
import { parseScriptLine } from './script-line.ts'

function names(): Names {
  const made = new Names()
  made.bindFd('dev', 7)
  made.bindVariable('a', 5n)
  made.bindBuffer('buf', 0x2000_0000_0000n)
  return made
}

test('takes a line apart into words, members and results', () => {
  const line = parseScriptLine('IOMMU_IOAS_MAP @iommu ioas_id=$a flags=FIXED|RW -> x=iova fd2')
  expect(line.op).toBe('IOMMU_IOAS_MAP')
  expect(line.words).toEqual(['@iommu'])
  expect([...line.keys]).toEqual([
    ['ioas_id', '$a'],
    ['flags', 'FIXED|RW'],
  ])
  expect(line.results).toEqual([
    { name: 'x', field: 'iova' },
    { name: 'fd2', field: undefined },
  ])
})

test('evaluates numbers with units, sums, unions and signs', () => {
  const n = names()
  expect(
    ['4k', '0x10', '1M', '-1', '~0', '1|4', 'FIXED|RW', '&buf+0x10', '$a', '@dev'].map((v) => n.number(v)),
  ).toEqual([4096n, 16n, 1n << 20n, -1n, -1n, 5n, 7n, 0x2000_0000_0010n, 5n, 7n])
})

test('an undefined variable is a number that names nothing, an unbound descriptor -1', () => {
  const n = names()
  expect(n.number('$nowhere')).toBe(0x7fff_fff0n)
  expect(n.value('@gone')).toEqual({ number: -1n, shown: '@gone' })
  n.unbindFd('dev')
  expect(n.number('@dev')).toBe(-1n)
})

test('refuses a name that is neither a number nor known', () => {
  expect(() => names().number('FIXD')).toThrow('"FIXD" is no number and no known name')
})

test('writes payloads as bytes, and prints them as traces do', () => {
  const payload = (text: string): string => payloadOf(text, names()).shown
  expect(payload('u8:1,2')).toBe('0102')
  expect(payload('u16:6')).toBe('0600')
  expect(payload('u32:0,2|u64:U64MAX')).toBe('0000000002000000ffffffffffffffff')
  expect(payload('hex:00ff')).toBe('00ff')
  expect(payload('str:ab|zero:2|ff:1')).toBe('61620000ff')
  expect(payload('fd:@dev,-1')).toBe('fd:@dev,-1')
  expect([...payloadOf('fd:@dev,-1', names()).bytes]).toEqual([7, 0, 0, 0, 255, 255, 255, 255])
  expect(() => payload('x:1')).toThrow('"x:1" is no payload')
})
