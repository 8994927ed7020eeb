// Fails when an import points against the flow of data. Read by people as the list of what may import what.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Package -> packages its published sources may import. Tests may import testkit as well. */
const PACKAGES = {
  core: [],
  'page-table': ['core'],
  'iommu-intel': ['core', 'page-table'],
  devices: ['core'],
  testkit: ['core'],
  hosts: ['core', 'page-table', 'iommu-intel', 'devices'],
  cli: ['core', 'page-table', 'iommu-intel', 'devices', 'testkit', 'hosts'],
}
/** Rooms of a vendor package: silicon and driver meet in memory, registers and firmware calls only. */
const ROOMS = { spec: ['spec'], hw: ['hw', 'spec'], driver: ['driver', 'spec'] }
/** A hardware walk shares no code with the driver's table writer. */
const HARDWARE_NEVER = ['@ioasis/page-table']
/** Needs Node: the command line, and everything that is not published. */
const MAY_USE_NODE = (file) => file.startsWith('cli/') || /\.test(-d)?\.ts$/.test(file)

const root = join(dirname(fileURLToPath(import.meta.url)), '..', 'packages')
const bad = []

const sources = (dir) =>
  readdirSync(dir, { withFileTypes: true }).flatMap((e) => {
    if (e.isDirectory()) return e.name === 'node_modules' || e.name === 'dist' ? [] : sources(join(dir, e.name))
    return e.name.endsWith('.ts') ? [join(dir, e.name)] : []
  })

function check(file, spec) {
  const here = relative(root, file).split(sep).join('/')
  const [name, , room] = here.split('/')
  const test = MAY_USE_NODE(here) && !here.startsWith('cli/')
  const say = (why) => bad.push(`packages/${here}: may not import '${spec}' (${why})`)
  if (spec.startsWith('node:')) return MAY_USE_NODE(here) ? undefined : say('runs in a browser: no Node')
  if (spec === 'tsyringe' || spec === 'reflect-metadata') {
    return /^core\/src\/plugin\/(host|inject|reflect)\.ts$/.test(here)
      ? undefined
      : say('only core/src/plugin names the container')
  }
  if (spec.startsWith('@ioasis/')) {
    const [, target, ...deep] = spec.split('/')
    if (deep.length > 0 && deep.join('/') !== 'package.json') return say('only through its public entry')
    if (target === name) return test ? undefined : say('itself by its public entry')
    if (test && (target === 'testkit' || name === 'testkit')) return undefined
    if (room === 'hw' && HARDWARE_NEVER.includes(spec)) return say('silicon shares no code with the table writer')
    return PACKAGES[name].includes(target) ? undefined : say('only downwards')
  }
  if (!spec.startsWith('.')) return undefined
  const target = relative(root, resolve(dirname(file), spec))
    .split(sep)
    .join('/')
  if (!target.startsWith(`${name}/`)) return say('leaves its package')
  const to = target.split('/')[2]
  if (ROOMS[room] && !test && name.startsWith('iommu-') && !ROOMS[room].includes(to))
    return say(`${room}/ may import ${ROOMS[room].join('/, ')}/ only`)
}

for (const name of readdirSync(root)) {
  if (!PACKAGES[name]) bad.push(`packages/${name}: not in the list of tools/layers.mjs`)
}
for (const file of Object.keys(PACKAGES).flatMap((name) => sources(join(root, name, 'src')))) {
  const text = readFileSync(file, 'utf8')
  for (const [, spec] of text.matchAll(/^\s*(?:import|export)\b[^'"]*?from\s+['"]([^'"]+)['"]/gm)) check(file, spec)
  for (const [, spec] of text.matchAll(/\bimport\s*\(?\s*['"]([^'"]+)['"]/g)) check(file, spec)
}
if (bad.length > 0) {
  console.error(bad.join('\n'))
  process.exit(1)
}
console.log('layers: ok')
