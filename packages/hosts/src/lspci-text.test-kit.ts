/** Prints functions as lspci does: the reverse of what is tested. */
import { type DescribedFunction, nameOfFunction } from './machine-description.ts'

const hex = (n: number): string => n.toString(16).padStart(2, '0')

/** The lines of `lspci -xxxx`, without a heading. */
export const hexLines = (config: Uint8Array): string =>
  Array.from({ length: config.length / 16 }, (_, row) => {
    const bytes = [...config.subarray(16 * row, 16 * row + 16)].map(hex).join(' ')
    return `${hex(16 * row)}: ${bytes}`
  }).join('\n')

function sizeText(size: number): string {
  if (size >= 2 ** 20) return `${size / 2 ** 20}M`
  return size >= 2 ** 10 ? `${size / 2 ** 10}K` : String(size)
}

/** Regions as `lspci -vv` prints them. */
function regions(fn: DescribedFunction): string {
  return fn.bars
    .map(({ index, size, space }) => {
      if (space === 'rom') return `\tExpansion ROM at 000c0000 [disabled] [size=${sizeText(size)}]\n`
      const what = space === 'io' ? 'I/O ports at 1000' : 'Memory at fe000000 (32-bit, non-prefetchable)'
      return `\tRegion ${index}: ${what} [size=${sizeText(size)}]\n`
    })
    .join('')
}

/** A whole dump. @param how `domain`: as with -D; `verbose`: as with -vv */
export const lspciText = (
  functions: readonly DescribedFunction[],
  { domain = false, verbose = false }: { domain?: boolean; verbose?: boolean } = {},
): string =>
  functions
    .map((fn) => {
      const place = domain ? nameOfFunction(fn) : nameOfFunction(fn).slice(5)
      return `${place} Some class: Some vendor Device\n${verbose ? regions(fn) : ''}${hexLines(fn.config)}\n`
    })
    .join('\n')
