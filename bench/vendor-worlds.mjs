/**
 * Hosts with one function behind a unit of each vendor, its pages mapped one by one; and rows 1 and 2 for any of them.
 */
import { Client, createHost, Cpus, IommuGroups, Pages, Processes, TCE_ACCESS, UserData } from '@ioasis/core'
import { dmaEngine } from '@ioasis/devices'
import { amdIommu, HWPT_DATA_AMD_GUEST, iommuHwptAmdGuest } from '@ioasis/iommu-amd'
import { powernvIommu } from '@ioasis/iommu-spapr'
import { PageTable, x86_64 } from '@ioasis/page-table'
import { measure } from './measure.mjs'
import { timeRow } from './table.mjs'
import { makeWorld, PAGE, RW, scattered } from './world.mjs'

const HPA = 0x1000_0000
/** Twice what an IOTLB of 2048 holds; their memory still fits the caches. */
const PAGES = 4096
const IOVA_HI = 0x7f00
const IOVA = 0x7f00_0000_0000n
const RAM = 2 ** 30
const OWNER = { user: 'bench' }

const shuffledPage = (i) => HPA + ((i * 40503) % PAGES) * PAGE

function makeGroup(plugin, kernel = {}) {
  const plugins = [plugin, dmaEngine({ at: '00:02.0', command: 4 })]
  const host = createHost({ machine: { ram: RAM }, kernel, plugins })
  const group = host.get(IommuGroups).containing('00:02.0')
  group.claim(OWNER, false)
  return { host, group, device: group.devices[0], port: group.members[0].dma }
}
function attach(group, domain) {
  if (group.attach(domain) !== 'ok') throw new Error('the domain does not fit')
}

/** Tables of the host alone: four levels. */
export function makeAmd() {
  const { host, group, device, port } = makeGroup(amdIommu())
  const domain = device.paging.alloc({})
  attach(group, domain)
  domain.map(IOVA, scattered(PAGES, shuffledPage), RW)
  return { host, port, hi: IOVA_HI }
}

/** A guest's tables of four levels, each step of which goes through the host's: its memory is all of the host's, page by page. */
export function makeNested() {
  const { host, group, device, port } = makeGroup(amdIommu({ connectNesting: true }))
  const parent = device.paging.alloc({ nestParent: true })
  parent.map(
    0n,
    scattered(RAM / PAGE, (i) => i * PAGE),
    RW,
  )
  const cpu = host.get(Cpus)[0]
  const pages = host.get(Pages)
  const table = new PageTable(
    x86_64,
    { topLevel: 3, pageSizes: 0x1000n, iovaBits: 47 },
    { cpu, pages, flushWrites: false },
  )
  table.map(IOVA, scattered(PAGES, shuffledPage), RW)
  const gcr3 = pages.alloc(PAGE)
  cpu.store(gcr3, 8, BigInt(table.root) | 1n)
  attach(group, device.viommu.alloc(undefined, parent, undefined).allocNested(entryData(host, BigInt(gcr3))))
  return { host, port, hi: IOVA_HI }
}
/** The guest's device table entry: valid, guest tables for requests without a PASID. */
function entryData(host, gcr3) {
  const dte0 = 3n | (1n << 54n) | (1n << 55n) | (((gcr3 >> 12n) & 7n) << 58n) | (3n << 61n)
  const dte1 = 5n | (((gcr3 >> 15n) & 0xffffn) << 16n) | ((gcr3 >> 31n) << 43n)
  const vmm = new Client(host, host.get(Processes).spawn())
  const bytes = iommuHwptAmdGuest.make({ dte0, dte1 })
  return new UserData(vmm.caller, { type: HWPT_DATA_AMD_GUEST, uva: vmm.put(bytes), bytes: bytes.length })
}

/** A window of 4 KiB pages at bus address 0. */
export function makeWindow(levels) {
  const { host, group, port } = makeGroup(powernvIommu(), { container: 'spapr', iommufd: false, cdev: false })
  const { windows } = group.devices[0]
  const window = windows.create(0, { pageShift: 12, bytes: 0x4000_0000n, levels })
  windows.set(0, window)
  for (let i = 0; i < PAGES; i++) window.exchange(i, shuffledPage(i), TCE_ACCESS.BOTH)
  window.kill(0, PAGES)
  return { host, port, hi: 0 }
}
export function makeIntel() {
  const { host, port, domain } = makeWorld(RAM)
  domain.map(IOVA, scattered(PAGES, shuffledPage), RW)
  return { host, port, hi: IOVA_HI }
}

const plain = new Int32Array(1024)
export function stores(n) {
  for (let i = 0; i < n; i++) {
    const at = (i & 511) << 1
    plain[at] = i
    plain[at + 1] = 0
  }
  return plain[0]
}
export const hits =
  ({ port, hi }) =>
  (n) => {
    let x = 0
    for (let i = 0; i < n; i++) x |= port.store64(hi, (i & 511) << 3, i, 0)
    if (x !== 0) throw new Error(`a hit ended with ${x}`)
    return n
  }
const misses =
  ({ port, hi }) =>
  (n) => {
    let x = 0
    for (let i = 0; i < n; i++) x |= port.store64(hi, (i & (PAGES - 1)) << 12, i, 0)
    if (x !== 0) throw new Error(`a walk ended with ${x}`)
    return n
  }

export function worldRows(row, what, world, goals) {
  const made = [
    ['hit, same page', hits(world), goals.hit],
    ['miss and walk each time', misses(world), goals.miss],
  ].map(([how, subject, goal]) => {
    return timeRow(
      row,
      `8-byte DMA write, ${what}, ${how} / two plain stores`,
      measure({ subject, baseline: stores }),
      goal,
    )
  })
  world.host.close()
  return made
}
