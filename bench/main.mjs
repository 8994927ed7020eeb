// npm run bench [ROW...]: prints the table. Run it on a quiet machine; figures of a busy one are ratios at best.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { calibration } from './measure.mjs'
import { printTable } from './table.mjs'

const FILES = {
  translate: ['1', '2'],
  dma: ['3', '4', '5'],
  mapping: ['6'],
  areas: ['7'],
  ioctl: ['8'],
  host: ['10'],
  type1: ['11'],
  device: ['12'],
  together: ['9'],
  amd: ['13'],
  nested: ['13'],
  power: ['14'],
}
const ROWS = fileURLToPath(new URL('rows.mjs', import.meta.url))

/** The rows of one file, from a process of its own: no row inherits the heap or the optimized code of another. */
function measured(name) {
  const { status, stdout } = spawnSync(process.execPath, [...process.execArgv, ROWS, name], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0) throw new Error(`${name} failed`)
  return JSON.parse(stdout)
}

const wanted = process.argv.slice(2).filter((arg) => !arg.startsWith('-'))
const before = calibration()
const table = []
for (const [name, rows] of Object.entries(FILES)) {
  if (wanted.length > 0 && !rows.some((row) => wanted.includes(row))) continue
  process.stderr.write(`${name} ...\n`)
  table.push(...measured(name))
}
const after = calibration()
printTable(table)
console.log(
  `\nNode ${process.versions.node}; a dependent addition took ${before.toFixed(2)} ns before and ${after.toFixed(2)} ns after.`,
)
if (Math.abs(after / before - 1) > 0.15) console.log('The machine was not quiet: run it again.')
