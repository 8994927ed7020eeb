/**
 * The examples of the documentation, as programs. A block that begins with ```ts stands alone: it compiles, runs, and where
 * a line reads `expression // value`, the value comes out. Blocks with a file name (```ts toy.ts) are parts of a file that is
 * tested where it lies; ```ts fragment is for what cannot stand alone.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './command.test-kit.ts'

/** One block. */
export interface Example {
  /** `packages/core/README.md:7`. */
  readonly where: string
  readonly code: string
}

const pages = (): string[] => [
  'README.md',
  ...readdirSync(join(ROOT, 'packages'))
    .map((name) => `packages/${name}/README.md`)
    .filter((page) => existsSync(join(ROOT, page))),
  ...readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`),
]

/** The blocks of all pages that stand alone. */
export const examples = (): Example[] => pages().flatMap(examplesOf)

/** The blocks of one page that stand alone. */
export function examplesOf(page: string): Example[] {
  const text = readFileSync(join(ROOT, page), 'utf8')
  return [...text.matchAll(/^```ts\n([^]*?)^```$/gm)].map(({ index, 1: code }) => ({
    where: `${page}:${text.slice(0, index).split('\n').length}`,
    code: code as string,
  }))
}

const SHOWN = /^(?!(?:const|let|using|import|export)\b)(\S.*?) \/\/ (-?(?:0x[0-9a-f_]+|\d+)n?|\[.*\]|'.*')(?:;.*)?$/gm

/** The example with its shown values asserted. */
export const asserted = ({ code }: Example): string =>
  `import { deepEqual as shown } from 'node:assert/strict'\n${code.replaceAll(SHOWN, ';shown($1, $2)')}\nvoid shown\n`

/** The first program of README.md and the lines it says that it prints. */
export function firstHost(): { readonly code: string; readonly prints: readonly string[] } {
  const [first] = examplesOf('README.md')
  const told = /^It prints (.*)$/m.exec(readFileSync(join(ROOT, 'README.md'), 'utf8'))?.[1] ?? ''
  return { code: first?.code ?? '', prints: [...told.matchAll(/`([^`]+)`/g)].map((m) => m[1] as string) }
}
