/** `ioasis walk`: one translation explained entry by entry, and why it stopped. */
import {
  ACCESS,
  Bus,
  DMA,
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
  UapiError,
} from '@ioasis/core'
import { Command } from 'commander'
import { InputError, parseSize } from '../input.ts'
import { hostOf, MACHINE_HELP, namedMachine } from '../machine-argument.ts'
import { type Terminal, toJson } from '../terminal.ts'
import { mapInWindow, parseWindow, type WindowWanted } from './walk-windows.ts'

interface Options {
  readonly write?: true
  /** False with --no-snoop. */
  readonly snoop: boolean
  readonly map?: readonly string[]
  readonly readOnly?: true
  readonly enforceCoherency?: true
  readonly window?: WindowWanted
  readonly json?: true
}

/** Builds the sub-command. */
export const walk = (terminal: Terminal): Command =>
  new Command('walk')
    .summary('Explain one translation, entry by entry.')
    .description('Explain one translation: every table entry with its fields by name, and why it ended as it did.')
    .argument('<machine>', MACHINE_HELP)
    .argument('<bdf>', 'the function that asks, e.g. 01:00.0')
    .argument('<iova>', 'the address it puts on the bus, e.g. 0x10000')
    .option('-w, --write', 'a write; default: a read')
    .option('--no-snoop', 'with the No Snoop attribute')
    .option(
      '-m, --map <iova:bytes>',
      'map fresh memory first, e.g. 0x10000:8K; may be repeated',
      (one, all: string[] | undefined) => [...(all ?? []), one],
    )
    .option('--read-only', 'map it read-only')
    .option('--enforce-coherency', 'let the domain enforce coherency before mapping')
    .option('--window <shift:bytes:levels>', 'POWER: make this window first, e.g. 16:1G:2', parseWindow)
    .option('--json', 'print as JSON')
    .addHelpText(
      'after',
      `
Without --map the function has the domain that the kernel gives it at boot, with nothing mapped.

Examples:
  ioasis walk intel-sc 01:00.0 0x10000 --map 0x10000:8K
  ioasis walk intel-sc 01:00.0 0x10000 --map 0x10000:8K --no-snoop --enforce-coherency
  ioasis walk powernv10 0001:01:00.0 0x800000000010000 --window 16:1G:3 --map 0x800000000010000:64K`,
    )
    .action((machine: string, bdf: string, iova: string, options: Options) => {
      const host = hostOf(namedMachine(machine))
      try {
        const told = explain(host, functionAt(host, bdf), parseSize(iova, 'iova'), options)
        if (options.json) terminal.line(toJson(told))
        else print(told, terminal)
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

/** An explanation with the request it explains. */
interface Told extends Explanation {
  /** e.g. `0000:01:00.0 reads iova 0x10000`. */
  readonly request: string
  /** Whether the CPUs' caches take part; undefined where the request is refused. */
  readonly snooped: boolean | undefined
}

function explain(host: Host, fn: PciFunction, iova: bigint, options: Options): Told {
  const unit = host.get(Bus).unitOf(fn.segment, fn.requester)
  if (!unit?.explain) throw new InputError(`bdf: ${fn.name}: no IOMMU silicon is modelled for this function`)
  if (options.map ?? options.window) mapAll(host, fn, options, options.map ?? [])
  const request = new DmaRequest(fn.requester)
  split(iova)
  request.iovaHi = hiWord()
  request.iovaLo = loWord()
  request.length = 1
  request.access = options.write ? ACCESS.WRITE : ACCESS.READ
  request.noSnoop = !options.snoop
  const explanation = unit.explain(request)
  const snooped = unit.translate(request) === DMA.OK ? request.out.snooped : undefined
  const how = options.snoop ? '' : ', with the No Snoop attribute'
  return {
    request: `${fn.name} ${options.write ? 'writes' : 'reads'} iova ${hex(iova)}${how}`,
    ...explanation,
    snooped,
  }
}

/** Attaches the function's group to a fresh domain and maps memory as asked. */
function mapAll(
  host: Host,
  fn: PciFunction,
  { readOnly, enforceCoherency, window }: Options,
  map: readonly string[],
): void {
  const group = host.get(IommuGroups).of(fn)
  if (!group) throw new InputError(`bdf: ${fn.name} is in no group`)
  if (group.devices[0]?.windows) {
    mapInWindow(host, group, { map, readOnly: readOnly === true, ...(window && { window }) })
    return
  }
  if (window) throw new InputError(`--window: ${fn.name} has page tables, and no windows`)
  const domain = group.allocDomain()
  group.claim({ user: 'ioasis walk' }, false)
  group.attach(domain)
  if (enforceCoherency && domain.coherency?.enforce() !== true)
    throw new InputError(`--enforce-coherency: the IOMMU of ${fn.name} cannot`)
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
    try {
      const runs = pageRuns([host.get(Pages).alloc(bytes, 'ioasis walk'), bytes])
      domain.map(first, runs, { read: true, write: !readOnly })
    } catch (error) {
      throw error instanceof UapiError
        ? new InputError(`--map: "${text}": ${REFUSED[error.errno] ?? error.message}`)
        : error
    }
  }
}

const REFUSED: Readonly<Record<string, string>> = {
  EADDRINUSE: 'some of it is mapped already',
  ENOMEM: 'the machine has no free memory of that size in one piece',
}

function print({ request, unit, entries, verdict, status, hpa, pageBytes, snooped }: Told, terminal: Terminal): void {
  const { line, style } = terminal
  line(style.title(`${request}; unit ${unit}`))
  for (const entry of entries) printEntry(entry, terminal)
  line()
  if (status === DMA.OK) {
    const leaf = hpa === undefined || pageBytes === undefined ? '' : ` (hpa ${hex(hpa)}, a page of ${pageBytes} bytes)`
    line(style.good(`${verdict}${leaf}`))
    if (snooped !== undefined)
      line(snooped ? "the CPUs' caches are snooped" : "not snooped: the access goes past the CPUs' caches")
  } else line(style.bad(`refused with reason ${hex(status)}: ${verdict}`))
}

function printEntry({ name, hpa, index, words, fields, verdict }: ExplainedEntry, { line, style }: Terminal): void {
  line()
  const where = `${index === undefined ? '' : `[${index}]`} at ${hex(hpa)}`
  line(`${style.key(name)}${where}  ${words.map((w) => hex(w)).join(' ')}`)
  for (const field of fields)
    line(`  ${field.name.padEnd(8)} ${field.value.padEnd(16)} ${style.dim(field.meaning ?? '')}`.trimEnd())
  line(`  ${verdict}`)
}
