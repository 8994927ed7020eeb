/** Chapter 2: the driver maps memory for the NIC's group, the silicon translates; unmap, and a flush that is forgotten. */
import {
  Bus,
  Cpus,
  DMA,
  DmaRequest,
  flushGather,
  formatBdf,
  type Group,
  hex,
  type Host,
  IommuGroups,
  pageRuns,
  Pages,
  type PagingDomain,
  Pci,
  type PciFunction,
  type Status,
  Tracer,
} from '@ioasis/core'
import { machineHost } from '@ioasis/hosts'
import { hexDump, type Terminal } from '../terminal.ts'

const NIC = '01:00.0'
const PAGE = 4096
const IOVA = 0x10_0000n
const USER = { user: 'ioasis demo' }
const RW = { read: true, write: true }
const BUS_MASTER = 4

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0))

/** Prints the life of one mapping. */
export function showMapping(name: string, terminal: Terminal): void {
  const { line, style } = terminal
  const host = machineHost(name)
  const nic = host.get(Pci).get(NIC)
  const group = host.get(IommuGroups).containing(NIC)
  line(style.title(`2  The driver maps, the silicon translates: the NIC ${NIC}, group ${group.id}`))
  const domain = take(group)
  nic.writeConfig(4, 2, nic.readConfig(4, 2) | BUS_MASTER)
  const pages = [0, 1].map(() => host.get(Pages).alloc(PAGE, 'demo buffer')).toReversed() as [number, number]
  domain.map(IOVA, pageRuns(...pages.map((hpa) => [hpa, PAGE] as const)), RW)
  line(
    `The group is claimed: its DMA is blocked. Then two pages are mapped at iova ${hex(IOVA)}: hpa ${pages.map(hex).join(' and ')}.`,
  )
  line('What the silicon reads to translate it:')
  walkLines(host, nic, terminal)
  bothWays(host, nic, pages[0], terminal)
  const show = faults(host, terminal)
  line('A write beside the mapping is refused, and the unit keeps a record, which the driver reads:')
  show(nic.dma.write(0x9_0000n, ascii('lost')))
  forgottenFlush(host, nic, domain, pages, show, terminal)
  group.detach()
  group.release(USER)
  domain.free()
  for (const hpa of pages) host.get(Pages).free(hpa, PAGE)
  host.close()
  line()
}

function take(group: Group): PagingDomain {
  group.claim(USER, false)
  const domain = group.allocDomain()
  group.attach(domain)
  return domain
}

function walkLines(host: Host, nic: PciFunction, { line, style }: Terminal): void {
  const request = new DmaRequest(nic.requester)
  request.iovaLo = Number(IOVA)
  request.length = 1
  const told = host.get(Bus).unitOf(0, nic.requester)?.explain?.(request)
  for (const { name, index, hpa, words, verdict } of told?.entries ?? []) {
    const where = `${name}${index === undefined ? '' : `[${index}]`}`
    line(
      `  ${style.key(where.padEnd(20))} at ${hex(hpa).padEnd(10)} ${hex(words[0] ?? 0n).padEnd(12)} ${style.dim(verdict)}`,
    )
  }
  line(`  ${style.good(told?.verdict ?? '')}`)
}

function bothWays(host: Host, nic: PciFunction, hpa: number, { line, style }: Terminal): void {
  const [cpu] = host.get(Cpus)
  const heard = new Uint8Array(16)
  nic.dma.write(IOVA + 0x20n, ascii('hello from nic! '))
  cpu.read(hpa + 0x20, heard)
  line('The NIC writes 16 bytes; the CPU reads them at the physical page:')
  line(style.good(`  ${hexDump(heard, hpa + 0x20, true)[0]}`))
  cpu.write(hpa + 0x40, ascii('hello from cpu! '))
  nic.dma.read(IOVA + 0x40n, heard)
  line('The CPU writes 16 bytes; the NIC reads them through its iova:')
  line(style.good(`  ${hexDump(heard, Number(IOVA) + 0x40, true)[0]}`))
}

/** @returns prints how a DMA ended, and what the driver said about it */
function faults(host: Host, { line, style }: Terminal): (status: Status) => void {
  const said: string[] = []
  host.get(Tracer).on('fault', ({ text }) => said.push(text))
  return (status) => {
    line(status === DMA.OK ? style.bad('  the DMA went through') : style.good(`  refused, reason ${hex(status)}`))
    for (const text of said.splice(0)) line(style.dim(`  kernel: ${text}`))
  }
}

function forgottenFlush(
  host: Host,
  nic: PciFunction,
  domain: PagingDomain,
  [first]: readonly [number, number],
  show: (status: Status) => void,
  { line }: Terminal,
): void {
  const gather = flushGather()
  domain.unmap(IOVA, BigInt(2 * PAGE), gather)
  const [cpu] = host.get(Cpus)
  const stale = new Uint8Array(16)
  line(
    'Now the driver unmaps the pages, but has not flushed yet. The table is empty; the unit still holds the translation:',
  )
  show(nic.dma.write(IOVA, ascii('written too late')))
  cpu.read(first, stale)
  line(
    `  and the bytes stand in a page (${hex(first)}) that ${formatBdf(nic.bdf)} should not reach any more: a forgotten flush`,
  )
  line(`  ${hexDump(stale, first, true)[0]}`)
  domain.sync(gather)
  line('After the flush (an IOTLB invalidation and a wait, through the queue) the same write is refused:')
  show(nic.dma.write(IOVA, ascii('written too late')))
}
