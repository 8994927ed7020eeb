// Fails when an import points against the flow of data, or files of one package import each other in a circle (types count).
// Read by people as the list of what may import what.
// node tools/layers.mjs [directory of packages; default: this repository's]
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const BELOW_HOSTS = [
  'core',
  'page-table',
  'iommu-intel',
  'iommu-amd',
  'iommu-mock',
  'iommu-spapr',
  'uapi',
  'iommufd',
  'vfio',
  'vfio-pci',
  'kvm',
  'devices',
]
/** Package -> packages its published sources may import. Tests may import testkit as well. */
const PACKAGES = {
  core: [],
  'page-table': ['core'],
  'iommu-intel': ['core', 'page-table'],
  'iommu-amd': ['core', 'page-table'],
  'iommu-mock': ['core', 'page-table'],
  uapi: ['core'],
  'iommu-spapr': ['core', 'uapi'],
  iommufd: ['core', 'uapi'],
  vfio: ['core', 'uapi'],
  'vfio-pci': ['core', 'uapi', 'vfio'],
  kvm: ['core'],
  devices: ['core'],
  testkit: ['core'],
  hosts: BELOW_HOSTS,
  cli: [...BELOW_HOSTS, 'testkit', 'hosts'],
}
/** The same for back ends in examples, which know nothing but published packages; their tests may import any of these. */
const EXAMPLES = { 'virtio-iommu': ['core', 'page-table'] }
/** Rooms of a vendor package: silicon and driver meet in memory, registers and firmware calls only. */
const ROOMS = { spec: ['spec'], hw: ['hw', 'spec'], driver: ['driver', 'spec'] }
/** Entries of a package besides its main one. */
const PUBLIC = new Set(['kits', 'package.json'])
const CONTAINER = /^core\/src\/plugin\/(host|inject|reflect)\.ts$/
/** Tests, and what only tests use: not published. */
const IS_TEST = (file) => /\.(test|test-d|test-kit)\.ts$/.test(file)

const root = resolve(process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '..', 'packages'))
const examples = join(root, '..', 'examples')
const bad = []
/** File -> files of its package that it imports. */
const graph = new Map()

const sources = (dir) =>
  readdirSync(dir, { withFileTypes: true }).flatMap((e) => {
    if (e.isDirectory()) return e.name === 'node_modules' || e.name === 'dist' ? [] : sources(join(dir, e.name))
    return e.name.endsWith('.ts') ? [join(dir, e.name)] : []
  })

/** @param base the folder of packages or of examples @returns why `file` may not import `spec`; undefined when it may */
function forbidden(base, file, spec) {
  const here = relative(base, file).split(sep).join('/')
  const [name, , room] = here.split('/')
  const test = IS_TEST(here)
  if (spec.startsWith('node:')) return test || name === 'cli' ? undefined : 'runs in a browser: no Node'
  if (spec === 'tsyringe' || spec === 'reflect-metadata') {
    return CONTAINER.test(here) ? undefined : 'only core/src/plugin names the container'
  }
  if (spec.startsWith('@ioasis/')) return otherPackage(name, room, test, spec.split('/').slice(1))
  if (!spec.startsWith('.')) return undefined
  const target = relative(base, resolve(dirname(file), spec))
    .split(sep)
    .join('/')
  if (!target.startsWith(`${name}/`)) return 'leaves its package'
  const to = target.split('/')[2]
  const rooms = (name.startsWith('iommu-') || EXAMPLES[name]) && !test ? ROOMS[room] : undefined
  return rooms && !rooms.includes(to) ? `${room}/ may import ${rooms.join('/, ')}/ only` : undefined
}

function otherPackage(name, room, test, [target, ...deep]) {
  const entry = deep.join('/')
  if (entry !== '' && !PUBLIC.has(entry)) return 'only through its public entries'
  if (entry === 'kits' && !test) return 'kits are for tests'
  if (target === name) return test ? undefined : 'itself by its public entry'
  if (test && (target === 'testkit' || EXAMPLES[name])) return undefined
  if (room === 'hw' && target === 'page-table') return 'silicon shares no code with the table writer'
  return (PACKAGES[name] ?? EXAMPLES[name]).includes(target) ? undefined : 'only downwards'
}

function check(base, file, spec) {
  if (spec.startsWith('.')) graph.get(file).push(resolve(dirname(file), spec))
  const why = forbidden(base, file, spec)
  if (why) bad.push(`${relative(join(root, '..'), file)}: may not import '${spec}' (${why})`)
}

/** Names a circle for each import that closes one. */
function reportCircles() {
  const open = []
  const done = new Set()
  const visit = (file) => {
    if (done.has(file)) return
    const at = open.indexOf(file)
    if (at >= 0) {
      const names = [...open.slice(at), file].map((each) => relative(join(root, '..'), each).split(sep).join('/'))
      bad.push(`${names[0]}: imports itself in a circle (${names.join(' -> ')})`)
      return
    }
    open.push(file)
    for (const next of graph.get(file) ?? []) visit(next)
    done.add(open.pop())
  }
  for (const file of graph.keys()) visit(file)
}

for (const name of readdirSync(root)) {
  if (!PACKAGES[name]) bad.push(`packages/${name}: not in the list of tools/layers.mjs`)
}
const inPackages = Object.keys(PACKAGES).map((name) => [root, join(root, name, 'src')])
const inExamples = Object.keys(EXAMPLES).flatMap((name) =>
  ['src', 'test'].map((at) => [examples, join(examples, name, at)]),
)
for (const [base, folder] of [...inPackages, ...inExamples].filter(([, at]) => existsSync(at))) {
  for (const file of sources(folder)) {
    const text = readFileSync(file, 'utf8')
    graph.set(file, [])
    const imports = text.matchAll(/^\s*(?:import|export)\b[^'"]*?from\s+['"]([^'"]+)['"]/gm)
    for (const [, spec] of imports) check(base, file, spec)
    for (const [, spec] of text.matchAll(/\bimport\s*\(?\s*['"]([^'"]+)['"]/g)) check(base, file, spec)
  }
}
reportCircles()
if (bad.length > 0) {
  console.error(bad.join('\n'))
  process.exit(1)
}
console.log('layers: ok')
