/** Every public example runs as a test. */
import { execFile } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createContext, runInContext } from 'node:vm'
import { build, type Rolldown } from 'vite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { node, ROOT } from './command.test-kit.ts'
import { asserted, examples, examplesOf, firstHost } from './examples.test-kit.ts'

const { code, prints } = firstHost()

describe("README.md's first host", () => {
  test('is there, with what it prints', () => {
    expect(code).toContain('createHost(')
    expect(prints).toEqual(['mapped: 0', 'not mapped: 5'])
  })

  test('runs in a bare vm context: one script, with a console and nothing else of Node or of a browser', async () => {
    const lines: string[] = []
    const context = createContext({ console: { log: (...words: unknown[]) => lines.push(words.join(' ')) } })
    const absent = ['process', 'Buffer', 'require', 'TextEncoder', 'structuredClone', 'setTimeout', 'performance']
    expect(runInContext(absent.map((name) => `typeof ${name}`).join(' + '), context)).toBe(
      absent.map(() => 'undefined').join(''),
    )
    runInContext(await bundled(code), context)
    expect(lines).toEqual(prints)
  })
})

test("README.md's program takes the whole path, in at most 40 lines", () => {
  const program = examplesOf('README.md')[1]?.code ?? ''
  expect(program.trimEnd().split('\n').length).toBeLessThanOrEqual(40)
  const path = [
    'open(',
    'EINVAL',
    'BIND_IOMMUFD,',
    'IOAS_ALLOC)',
    'ATTACH_IOMMUFD_PT,',
    'IOAS_MAP,',
    'peek(',
    'IOAS_UNMAP,',
  ]
  const body = program.slice(program.lastIndexOf('import '))
  expect(path.map((word) => body.indexOf(word)).every((at, i, all) => at > (all[i - 1] ?? 0))).toBe(true)
  expect(asserted({ where: '', code: program }).match(/;shown\(/g)).toHaveLength(3)
})

/** A program with all it imports as one classic script. */
async function bundled(program: string): Promise<string> {
  const entry = '\0program.ts'
  const result = await build({
    root: ROOT,
    configFile: false,
    logLevel: 'error',
    plugins: [
      {
        name: 'program',
        enforce: 'pre',
        resolveId: (id) => (id === 'program.ts' ? entry : undefined),
        load: (id) => (id === entry ? program : undefined),
      },
    ],
    build: {
      write: false,
      minify: false,
      target: 'es2023',
      rollupOptions: { input: 'program.ts', output: { format: 'iife' } },
    },
  })
  const [chunk, ...others] = (result as Rolldown.RolldownOutput).output
  expect(others.map((o) => o.fileName)).toEqual([])
  return chunk.code
}

const name = (i: number): string => `example-${i}`

describe('examples of the documentation', () => {
  const all = examples()
  // inside the repository, so that the names of packages mean the built ones
  const folder = join(ROOT, 'reports/examples')

  beforeAll(() => {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    all.forEach((example, i) => writeFileSync(join(folder, `${name(i)}.ts`), asserted(example)))
    const compilerOptions = { outDir: 'js', rootDir: '.', composite: false, noUnusedLocals: false, types: ['node'] }
    const more = { declaration: false, declarationMap: false, isolatedDeclarations: false, sourceMap: false }
    const config = { extends: '../../tsconfig.base.json', compilerOptions: { ...compilerOptions, ...more } }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test('compile, together, with the strictest settings', async () => {
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    const told = await promisify(execFile)(process.execPath, [tsc, '-p', folder]).catch(
      (error: { stdout: string }) => error,
    )
    const wrong = told.stdout.replaceAll(/^.*example-(\d+)\.ts/gm, (_, i: string) => all[Number(i)]?.where ?? '')
    expect(wrong).toBe('')
  })
  test.each(all.map((example, i) => [example.where, i] as const))(
    '%s runs, and shows what it says',
    async (_where, i) => {
      expect(await node([join(folder, 'js', `${name(i)}.js`)])).toMatchObject({ code: 0, stderr: '' })
    },
  )
})
