import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'

const CHECK = fileURLToPath(new URL('../../../tools/layers.mjs', import.meta.url))
const trees: string[] = []

/** Runs the check on a tree that has these files, by their paths below `packages/`. */
function check(files: Readonly<Record<string, string>>): { status: number | null; said: string } {
  const tree = mkdtempSync(join(tmpdir(), 'layers-'))
  trees.push(tree)
  for (const [path, text] of Object.entries(files)) {
    const file = join(tree, 'packages', path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
  const { status, stdout, stderr } = spawnSync(process.execPath, [CHECK, join(tree, 'packages')], { encoding: 'utf8' })
  return { status, said: stdout + stderr }
}
afterEach(() => {
  for (const tree of trees.splice(0)) rmSync(tree, { recursive: true })
})

const SOUND = {
  'core/src/clock.ts': 'export const clock = 1\n',
  'core/src/plugin/host.ts': "import { container } from 'tsyringe'\nexport { container }\n",
  'page-table/src/table.ts': "import type { Hpa } from '@ioasis/core'\nexport type Table = Hpa\n",
  'iommu-intel/src/spec/bits.ts': 'export const P = 1\n',
  'iommu-intel/src/hw/walk.ts': "import { P } from '../spec/bits.ts'\nexport { P }\n",
  'iommu-intel/src/driver/map.ts': "import '@ioasis/page-table'\nexport { P } from '../spec/bits.ts'\n",
  'iommu-intel/src/plugin.ts': "import './hw/walk.ts'\nimport './driver/map.ts'\n",
  'iommu-intel/src/kit.test.ts': "import 'node:fs'\nimport '@ioasis/testkit/kits'\nimport '@ioasis/iommu-intel'\n",
  'iommu-intel/src/driver/map.test.ts': "import '../hw/walk.ts'\n",
  'cli/src/main.ts': "import 'node:fs'\nimport '@ioasis/hosts'\n",
}

describe('the check of what may import what', () => {
  test('a tree that keeps to the rules passes', () => {
    expect(check(SOUND)).toEqual({ status: 0, said: 'layers: ok\n' })
  })

  test.each<[rule: string, path: string, text: string, why: string]>([
    ['a package upwards', 'core/src/a.ts', "import { x } from '@ioasis/vfio'", 'only downwards'],
    ['a package that stands beside it', 'vfio/src/a.ts', "import type { X } from '@ioasis/iommufd'", 'only downwards'],
    ['a package upwards, as a re-export', 'core/src/a.ts', "export * from '@ioasis/hosts'", 'only downwards'],
    ['a package upwards, when it runs', 'core/src/a.ts', "await import('@ioasis/hosts')", 'only downwards'],
    [
      'a package upwards, over several lines',
      'core/src/a.ts',
      "import {\n  x,\n  y,\n} from '@ioasis/kvm'",
      'only downwards',
    ],
    ['the testkit outside of tests', 'devices/src/a.ts', "import { audit } from '@ioasis/testkit'", 'only downwards'],
    ['a kit outside of tests', 'cli/src/a.ts', "import '@ioasis/testkit/kits'", 'kits are for tests'],
    ['the inside of a package', 'vfio/src/a.ts', "import '@ioasis/core/src/clock.ts'", 'only through its public'],
    ['itself by its name', 'core/src/a.ts', "import { clock } from '@ioasis/core'", 'itself by its public entry'],
    ['a neighbour by its path', 'vfio/src/a.ts', "import '../../core/src/clock.ts'", 'leaves its package'],
    ['Node', 'core/src/a.ts', "import { readFileSync } from 'node:fs'", 'runs in a browser'],
    ['the container', 'core/src/a.ts', "import { container } from 'tsyringe'", 'only core/src/plugin'],
    ['the reflection', 'devices/src/a.ts', "import 'reflect-metadata'", 'only core/src/plugin'],
    ['the driver from the silicon', 'iommu-intel/src/hw/a.ts', "import '../driver/map.ts'", 'hw/ may import'],
    ['the silicon from the driver', 'iommu-intel/src/driver/a.ts', "import '../hw/walk.ts'", 'driver/ may import'],
    ['more than bits from the bits', 'iommu-intel/src/spec/a.ts', "import '../hw/walk.ts'", 'spec/ may import'],
    ['the table writer from the silicon', 'iommu-intel/src/hw/a.ts', "import '@ioasis/page-table'", 'silicon shares'],
  ])('%s is refused', (_, path, text, why) => {
    const { status, said } = check({ ...SOUND, [path]: `${text}\n` })
    expect(status).toBe(1)
    expect(said).toContain(`packages/${path}: may not import`)
    expect(said).toContain(why)
    expect(said.trim().split('\n')).toHaveLength(1)
  })

  test.each<[circle: string, files: Readonly<Record<string, string>>, said: string]>([
    [
      'two files',
      { 'core/src/a.ts': "import { b } from './b.ts'\n", 'core/src/b.ts': "import type { A } from './a.ts'\n" },
      'packages/core/src/a.ts: imports itself in a circle (packages/core/src/a.ts -> packages/core/src/b.ts -> packages/core/src/a.ts)',
    ],
    [
      'three files, by a re-export',
      {
        'vfio/src/a.ts': "import './b/b.ts'\n",
        'vfio/src/b/b.ts': "export * from './c.ts'\n",
        'vfio/src/b/c.ts': "import type {\n  A,\n} from '../a.ts'\n",
      },
      'packages/vfio/src/a.ts -> packages/vfio/src/b/b.ts -> packages/vfio/src/b/c.ts -> packages/vfio/src/a.ts',
    ],
  ])('a circle of %s is refused', (_, files, why) => {
    const { status, said } = check({ ...SOUND, ...files })
    expect(status).toBe(1)
    expect(said).toContain(why)
    expect(said.trim().split('\n')).toHaveLength(1)
  })

  test('a package that nobody told it of is refused', () => {
    const { status, said } = check({ ...SOUND, 'iommu-other/src/a.ts': '' })
    expect(status).toBe(1)
    expect(said).toBe('packages/iommu-other: not in the list of tools/layers.mjs\n')
  })
})
