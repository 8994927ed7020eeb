/** Script lines that are not quite as they were recorded. */
import type { RandomSource } from '../../random-source.ts'
import { parseScriptLine } from '../../traces/script-line.ts'

const NUMBERS = ['0', '1', '2', '3', '8', '0xfff', '4k', '0x1001', '8k', '64k', '2m', '0x7fffffff', '0xffffffff']
const WIDE = ['0x7fffffffffffffff', '0x8000000000000000', '0xffffffffffffffff', '0xfffffffffffff000', '0xfee00000']
const PLACES = ['null', 'bad', 'kernel', 'ro']
/** They say how much memory the test itself takes. */
const OWN_SIZES = new Set(['datalen', 'fill', '_len', 'data', '_tail', '_arg'])

/** Values that scripts give a key, so that one can take another one's place. */
export type ScriptValues = ReadonlyMap<string, readonly string[]>

/** @param lines script lines of ioctls */
export function scriptValues(lines: readonly string[]): ScriptValues {
  const found = new Map<string, Set<string>>()
  for (const src of lines) {
    for (const [key, value] of parseScriptLine(src).keys) found.set(key, (found.get(key) ?? new Set()).add(value))
  }
  return new Map([...found].map(([key, values]) => [key, [...values]]))
}

/** @returns the line with another value, without one, or with its struct elsewhere */
export function mutateLine(src: string, values: ScriptValues, random: RandomSource): string {
  const keys = [...parseScriptLine(src).keys.keys()].filter((key) => !OWN_SIZES.has(key))
  if (keys.length === 0 || random.chance(1, 12)) {
    const [head = '', tail] = src.split(/\s+->\s*/, 2)
    const moved = `${head.replace(/\s_arg=\S+/, '')} _arg=${random.pick(PLACES)}`
    return tail === undefined ? moved : `${moved} -> ${tail}`
  }
  const key = random.pick(keys)
  const found = new RegExp(`\\s${key}=(\\S+)`)
  if (random.chance(1, 10)) return src.replace(found, '')
  const others = values.get(key) ?? []
  const value =
    others.length > 0 && random.chance(2, 3) ? random.pick(others) : random.pick(random.chance(2, 3) ? NUMBERS : WIDE)
  return src.replace(found, () => ` ${key}=${value}`)
}
