/**
 * Row 11: VFIO_IOMMU_MAP_DMA of one page and its UNMAP_DMA as whole system calls of a program, with many mappings in the
 * container: memory is pinned and in the page table at once, so each call pins, charges, writes a table and flushes.
 * Mappings of one user page, so that a million of them need no memory of their own.
 */
import { Client, createHost, Processes, Sysfs } from '@ioasis/core'
import { dmaEngine } from '@ioasis/devices'
import { firmware } from '@ioasis/hosts'
import { intelIommu } from '@ioasis/iommu-intel'
import {
  VFIO_DMA_MAP_FLAG,
  VFIO_EXTENSION,
  VFIO_GROUP_SET_CONTAINER,
  VFIO_IOMMU_MAP_DMA,
  VFIO_IOMMU_UNMAP_DMA,
  VFIO_SET_IOMMU,
} from '@ioasis/uapi'
import { vfio } from '@ioasis/vfio'
import { vfioPci } from '@ioasis/vfio-pci'
import { spread } from './measure.mjs'
import { measureRounds, timed } from './rounds.mjs'
import { range, unit, verdict } from './table.mjs'

/** Mappings that go and come back in a round. */
const PART = 1000
const PAGE = 4096n
const IOVA = 0x1_0000_0000n
/** Mappings lie a page apart. */
const STRIDE = 8192n
const FLAGS = VFIO_DMA_MAP_FLAG.READ | VFIO_DMA_MAP_FLAG.WRITE
const LIMIT = '/sys/module/vfio_iommu_type1/parameters/dma_entry_limit'

const iovaOf = (i) => IOVA + BigInt(i) * STRIDE

function makeProgram() {
  const engine = dmaEngine({ at: '00:02.0' })
  const plugins = [engine, firmware(), intelIommu(), vfio(), vfioPci({ bind: ['00:02.0'] })]
  const host = createHost({ machine: { ram: 2 ** 30 }, kernel: { iommufd: false, cdev: false }, plugins })
  host.get(Sysfs).write(LIMIT, String(2 ** 21))
  const vmm = new Client(host, host.get(Processes).spawn())
  const container = vmm.open('/dev/vfio/vfio')
  const group = vmm.open('/dev/vfio/0')
  vmm.ioctl(group, VFIO_GROUP_SET_CONTAINER, vmm.put(new Uint8Array(Int32Array.of(container).buffer)))
  vmm.ioctl(container, VFIO_SET_IOMMU, VFIO_EXTENSION.VFIO_TYPE1v2_IOMMU)
  return { host, vmm, container, vaddr: vmm.mmap({ bytes: PAGE }) }
}

/** ns of MAP_DMA and UNMAP_DMA with `n` mappings, beside two changes of a plain Map. */
function measured(n) {
  const { host, vmm, container, vaddr } = makeProgram()
  const map = (iova) => vmm.ioctl(container, VFIO_IOMMU_MAP_DMA, { flags: FLAGS, vaddr, iova, size: PAGE })
  const unmap = (iova) => vmm.ioctl(container, VFIO_IOMMU_UNMAP_DMA, { iova, size: PAGE })
  const plain = new Map()
  for (let i = 0; i < n; i++) {
    map(iovaOf(i))
    plain.set(i, i)
  }
  const seen = measureRounds((round) => {
    const picks = Array.from({ length: PART }, (_, k) => ((round * PART + k) * 4093) % n)
    const iovas = picks.map(iovaOf)
    const base = timed(2 * PART, () => {
      for (const i of picks) plain.delete(i)
      for (const i of picks) plain.set(i, i)
    })
    return {
      base,
      UNMAP: timed(PART, () => iovas.forEach(unmap)),
      MAP: timed(PART, () => iovas.forEach(map)),
    }
  })
  host.close()
  return seen
}

function rowsOf(n, goal) {
  const seen = measured(n)
  return ['MAP', 'UNMAP'].map((what) => ({
    row: '11',
    what: `VFIO_IOMMU_${what}_DMA of a page, ${n} mappings / change of a Map`,
    subject: unit(spread(seen[what]).median, 'ns'),
    baseline: unit(spread(seen.base).median, 'ns'),
    ratio: range(spread(seen[what].map((ns, i) => ns / seen.base[i]))),
    goal: `${goal} ns`,
    reached: verdict(spread(seen[what]).median, goal),
  }))
}

/** From ten thousand to a million the logarithm grows by half. */
export const rows = () => [...rowsOf(10_000, 2000), ...rowsOf(1_000_000, 3000)]
