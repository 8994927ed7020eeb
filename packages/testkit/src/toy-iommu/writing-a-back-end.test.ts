import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const FILES = ['toy-iommu.ts', 'toy-world.test-kit.ts', 'toy-iommu.test.ts'] as const
const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')
const page = read('../../../../docs/writing-a-back-end.md')

/** What the page quotes, piece by piece, with the file each piece is of. */
const pieces = [...page.matchAll(/^```ts (\S+)\n(.*?)\n```$/gms)] as unknown as [unknown, file: string, code: string][]
const quoted = (file: string): string => pieces.flatMap(([, of, code]) => (of === file ? [code] : [])).join('\n')
const withoutBlankLines = (text: string): string => text.replaceAll(/\n+/g, '\n').trim()
const lines = (text: string): number => text.trimEnd().split('\n').length

test.each(FILES)('docs/writing-a-back-end.md quotes all of %s', (file) => {
  expect(withoutBlankLines(quoted(file))).toBe(withoutBlankLines(read(file)))
})

test('the example, its world and its test have 150 lines at most, comments and blank lines included', () => {
  expect(FILES.reduce((sum, file) => sum + lines(read(file)), 0)).toBeLessThanOrEqual(150)
  expect(pieces.reduce((sum, [, , code]) => sum + lines(code), 0)).toBeLessThanOrEqual(150)
})

test('the example imports public entries of packages, and its own files', () => {
  const sources = FILES.flatMap((file) => [...read(file).matchAll(/from '([^']+)'/g)].map(([, source]) => source))
  expect(new Set(sources)).toEqual(
    new Set(['@ioasis/core', '@ioasis/testkit/kits', './toy-iommu.ts', './toy-world.test-kit.ts']),
  )
})

test('the README quotes a conformance test as it is', () => {
  const [, shown] = /^```ts conformance\.test\.ts\n(.*?)^```$/ms.exec(read('../../README.md')) ?? []
  expect(shown).toBe(read('../../../iommu-intel/src/conformance.test.ts'))
})
