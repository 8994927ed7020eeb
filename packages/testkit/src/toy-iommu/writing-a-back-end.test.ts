import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const page = readFileSync(new URL('../../../../docs/writing-a-back-end.md', import.meta.url), 'utf8')

/** What the page quotes of a file, its pieces joined. */
const quoted = (file: string): string =>
  [...page.matchAll(/^```ts (\S+)\n(.*?)\n```$/gms)]
    .flatMap(([, name, code]) => (name === file ? [code] : []))
    .join('\n')
const withoutBlankLines = (text: string): string => text.replaceAll(/\n+/g, '\n').trim()

test.each(['toy-iommu.ts', 'toy-iommu.test.ts', 'toy-world.ts'])(
  'docs/writing-a-back-end.md quotes all of %s',
  (file) => {
    const text = readFileSync(new URL(file, import.meta.url), 'utf8')
    expect(withoutBlankLines(quoted(file))).toBe(withoutBlankLines(text))
  },
)
