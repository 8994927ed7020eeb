/** The host most rows run on: one VT-d unit, one DMA engine with a domain of its own, everything through the public path. */
import { createHost, IommuGroups, Memory, pageRuns } from '@ioasis/core'
import { dmaEngine } from '@ioasis/devices'
import { intelIommu } from '@ioasis/iommu-intel'

export const PAGE = 4096
export const RW = { read: true, write: true }
const OWNER = { user: 'bench' }

/** @param ram bytes of memory from address 0 on */
export function makeWorld(ram = 2 ** 31) {
  const host = createHost({ machine: { ram }, plugins: [intelIommu(), dmaEngine({ at: '00:02.0', command: 4 })] })
  const [group] = host.get(IommuGroups).groups
  group.claim(OWNER, false)
  const domain = group.devices[0].paging.alloc({})
  if (group.attach(domain) !== 'ok') throw new Error('the domain does not fit')
  return { host, group, domain, port: group.members[0].dma, memory: host.get(Memory) }
}

/** Runs of single pages: page `i` of the list at `hpa(i)`. */
export function scattered(pages, hpa) {
  const runs = { count: pages, hpa: new Float64Array(pages), bytes: new Float64Array(pages).fill(PAGE) }
  for (let i = 0; i < pages; i++) runs.hpa[i] = hpa(i)
  return runs
}
/** One run. */
export const contiguous = (hpa, bytes) => pageRuns([hpa, bytes])
