// Writes src/machines/data.ts from a folder of machine files (q35-*.json): one base and each machine's differences to it.
// node packages/hosts/tools/encode-machines.mjs FOLDER
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { fileURLToPath } from 'node:url'
import { runnerImport } from 'vite'

const BASE = 'q35-intel-sc'
const encoding = fileURLToPath(new URL('../src/machines/encoding.ts', import.meta.url))
const { decodeMachine } = (await runnerImport(encoding)).module
const folder = process.argv[2]
if (!folder) {
  console.error('usage: node encode-machines.mjs FOLDER')
  process.exit(1)
}

/** Runs of 8 or more zero bytes are left out: "offset:hex offset:hex … /length". */
function encodeConfig(hex) {
  const pieces = []
  const bytes = hex.match(/../g)
  let at = 0
  while (at < bytes.length) {
    let end = at
    let zeros = 0
    while (end < bytes.length && zeros < 8) zeros = bytes[end++] === '00' ? zeros + 1 : 0
    const text = bytes.slice(at, end - zeros).join('')
    if (text) pieces.push(`${at.toString(16)}:${text}`)
    at = end
    while (bytes[at] === '00') at++
  }
  return `${pieces.join(' ')} /${bytes.length}`
}

const ZERO_ROW = Array(3).fill('0x0000000000000000').join(' ')
const short = (row) =>
  row === ZERO_ROW
    ? ''
    : row
        .split(' ')
        .map((v) => BigInt(v).toString(16))
        .join(' ')
const encode = ({ log: _log, ...machine }) => ({
  ...machine,
  devices: Object.fromEntries(
    machine.devices.map(({ bdf, ...d }) => [
      bdf,
      { ...d, config: encodeConfig(d.config), resource: d.resource.map(short).join(',') },
    ]),
  ),
  groups: Object.fromEntries(machine.groups.map(({ id, ...g }) => [id, g])),
})

/** [path, value] for what differs; no value: it is gone. */
function differences(base, other, path = []) {
  if (isDeepStrictEqual(base, other)) return []
  const tables = [base, other].every((v) => typeof v === 'object' && v !== null && !Array.isArray(v))
  if (!tables) return [[path, other]]
  const keys = [...new Set([...Object.keys(base), ...Object.keys(other)])]
  return keys.flatMap((k) => (k in other ? differences(base[k], other[k], [...path, k]) : [[[...path, k]]]))
}

const files = readdirSync(folder).filter((f) => f.startsWith('q35-') && f.endsWith('.json'))
const machines = files.map((f) => JSON.parse(readFileSync(`${folder}/${f}`, 'utf8')))
const base = encode(machines.find((m) => m.machine === BASE))
const others = Object.fromEntries(machines.map((m) => [m.machine, differences(base, encode(m))]))

for (const { log: _log, ...machine } of machines) {
  if (isDeepStrictEqual(decodeMachine(base, others[machine.machine]), machine)) continue
  throw new Error(`${machine.machine} does not come back as it was`)
}
writeFileSync(
  new URL('../src/machines/data.ts', import.meta.url),
  `/** The recorded machines, written by tools/encode-machines.mjs: do not edit. What they are: README.md beside this file. */
import type { Difference, EncodedMachine } from './encoding.ts'

/** ${BASE}. */
export const BASE: EncodedMachine = ${JSON.stringify(base, null, 1)}

/** What each machine has otherwise. */
export const DIFFERENCES: Readonly<Record<string, readonly Difference[]>> = ${JSON.stringify(others, null, 1)}
`,
)
console.log(`${machines.length} machines written`)
