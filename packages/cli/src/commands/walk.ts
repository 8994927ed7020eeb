/** `ioasis walk`: one translation explained entry by entry, and why it stopped. */
import {
  ACCESS,
  Bus,
  DmaRequest,
  type ExplainedEntry,
  type Explanation,
  hex,
  hiWord,
  type Host,
  IommuGroups,
  loWord,
  pageRuns,
  Pages,
  Pci,
  parseBdf,
  type PciFunction,
  split,
} from '@ioasis/core'
import { Command } from 'commander'
import { InputError, parseSize } from '../input.ts'
import { MACHINE_HELP, namedMachine } from '../machine-argument.ts'
import { type Terminal, toJson } from '../terminal.ts'
import { hostOf } from './groups.ts'

interface Options {
  readonly write?: true
  readonly noSnoop?: true
  readonly map: readonly string[]
  readonly readOnly?: true
  readonly enforceCoherency?: true
  readonly json?: true
}

/** Builds the sub-command. */
export const walk = (terminal: Terminal): Command =>
  new Command('walk')
    .description('Explain one translation: every table entry with its fields by name, and why it ended as it did.')
    .argument('<machine>', MACHINE_HELP)
    .argument('<bdf>', 'the function that asks, e.g. 01:00.0')
    .argument('<iova>', 'the address it puts on the bus, e.g. 0x10000')
    .option('-w, --write', 'a write; default: a read')
    .option('--no-snoop', 'with the No Snoop attribute')
    .option(
      '-m, --map <iova:bytes>',
      'map fresh memory first, e.g. 0x10000:8K; may be repeated',
      (one, all: string[]) => [...all, one],
      [],
    )
    .option('--read-only', 'map it read-only')
    .option('--enforce-coherency', 'let the domain enforce coherency before mapping')
    .option('--json', 'print as JSON')
    .action((machine: string, bdf: string, iova: string, options: Options & { snoop: boolean }) => {
      const host = hostOf(namedMachine(machine))
      try {
        const explanation = explain(host, functionAt(host, bdf), parseSize(iova, 'iova'), {
          ...options,
          ...(options.snoop ? {} : { noSnoop: true }),
        })
        if (options.json) terminal.line(toJson(explanation))
        else print(explanation, terminal)
      } finally {
        host.close()
      }
    })

function functionAt(host: Host, place: string): PciFunction {
  const where = parseBdf(place)
  if (!where) throw new InputError(`bdf: "${place}" is not a function such as 01:00.0`)
  const fn = host.get(Pci).at(where.segment, where.bdf)
  if (!fn) throw new InputError(`bdf: no function stands at ${place}`)
  return fn
}

function explain(host: Host, fn: PciFunction, iova: bigint, options: Options): Explanation {
  const unit = host.get(Bus).unitOf(fn.segment, fn.requester)
  if (!unit?.explain) throw new InputError(`${fn.name}: no IOMMU silicon is modelled for this function`)
  if (options.map.length > 0) mapAll(host, fn, options)
  const request = new DmaRequest(fn.requester)
  split(iova)
  request.iovaHi = hiWord()
  request.iovaLo = loWord()
  request.length = 1
  request.access = options.write ? ACCESS.WRITE : ACCESS.READ
  request.noSnoop = options.noSnoop ?? false
  return unit.explain(request)
}

/** Attaches the function's group to a fresh domain and maps memory as asked. */
function mapAll(host: Host, fn: PciFunction, { map, readOnly, enforceCoherency }: Options): void {
  const group = host.get(IommuGroups).of(fn)
  if (!group) throw new InputError(`${fn.name} is in no group`)
  const domain = group.allocDomain()
  group.claim({ user: 'ioasis walk' }, false)
  group.attach(domain)
  if (enforceCoherency && domain.coherency?.enforce() !== true)
    throw new InputError(`${fn.name}: its IOMMU cannot enforce coherency`)
  for (const text of map) {
    const [at, size] = text.split(':')
    if (!at || !size) throw new InputError(`--map: "${text}" is not IOVA:BYTES such as 0x10000:8K`)
    const first = parseSize(at, '--map')
    const bytes = Number(parseSize(size, '--map'))
    if (Number(first % 4096n) !== 0 || bytes === 0 || bytes % 4096 !== 0)
      throw new InputError(`--map: "${text}" is not whole pages of 4 KiB`)
    const { aperture } = domain
    const last = first + BigInt(bytes) - 1n
    if (last > aperture.last)
      throw new InputError(`--map: ${hex(last)} is beyond what the domain can hold, ${hex(aperture.last)}`)
    const runs = pageRuns([host.get(Pages).alloc(bytes, 'ioasis walk'), bytes])
    domain.map(first, runs, { read: true, write: !readOnly })
  }
}

function print({ unit, entries, verdict, status, hpa, pageBytes }: Explanation, terminal: Terminal): void {
  const { line, style } = terminal
  line(style.title(`unit ${unit}`))
  for (const entry of entries) printEntry(entry, terminal)
  line()
  if (status === 0)
    line(style.good(`${verdict}${hpa === undefined ? '' : ` (hpa ${hex(hpa)}, leaf of ${pageBytes ?? 0} bytes)`}`))
  else line(style.bad(`refused with reason ${hex(status)}: ${verdict}`))
}

function printEntry({ name, hpa, index, words, fields, verdict }: ExplainedEntry, { line, style }: Terminal): void {
  line()
  const where = `${index === undefined ? '' : `[${index}]`} at ${hex(hpa)}`
  line(`${style.key(name)}${where}  ${words.map((w) => hex(w)).join(' ')}`)
  for (const field of fields)
    line(`  ${field.name.padEnd(8)} ${field.value.padEnd(16)} ${style.dim(field.meaning ?? '')}`.trimEnd())
  line(`  ${verdict}`)
}
