// Opens and closes many hosts; prints as JSON what stays behind. Run with --expose-gc from the built packages.
import { Bus, Clock, createHost, IommuGroups, Interrupts, Pages, pageRuns, Pci } from '@ioasis/core'
import { dmaEngine } from '@ioasis/devices'
import { machineHost } from '@ioasis/hosts'
import { intelIommu } from '@ioasis/iommu-intel'
import { audit } from '@ioasis/testkit'

/** The first host of README.md. @returns what its parts still count after it was closed */
function firstHost() {
  const host = createHost({ plugins: [intelIommu(), dmaEngine({ at: '00:02.0', command: 4 })] })
  const group = host.get(IommuGroups).containing('00:02.0')
  const domain = group.allocDomain()
  group.attach(domain)
  domain.map(0x1000n, pageRuns([0x20_0000, 0x1000]), { read: true, write: true })
  const { dma } = host.get(Pci).get('00:02.0')
  const statuses = [0x1004n, 0x9000n].map((iova) => dma.write(iova, Uint8Array.of(1, 2, 3, 4)))
  if (statuses.join() !== '0,5') throw new Error(`DMA ended with ${statuses.join()}`)
  return closed(host)
}

/** A lab machine whose NIC's group is taken and used. */
function labHost() {
  const host = machineHost('intel-sc')
  const group = host.get(IommuGroups).containing('01:00.0')
  const owner = { user: 'memory test' }
  group.claim(owner, false)
  const domain = group.allocDomain()
  group.attach(domain)
  domain.map(0x1000n, pageRuns([host.get(Pages).alloc(4096, 'buffer'), 4096]), { read: true, write: true })
  host.get(Pci).get('01:00.0').dma.write(0x1000n, new Uint8Array(4096))
  host.get(Pages).free(domain.lookup(0x1000n), 4096)
  return closed(host)
}

/** Closes a host. @returns the audit of the open one, and the counters of the closed one */
function closed(host) {
  const { violations } = audit(host)
  const pages = host.get(Pages)
  const clock = host.get(Clock)
  const bus = host.get(Bus)
  const interrupts = host.get(Interrupts)
  host.close()
  const counters = { pages: pages.allocated, timers: clock.pending, vectors: interrupts.allocated, ports: bus.ports }
  return { violations: violations.length, ...counters }
}

/** Bytes on the heap and in array buffers, after collection. */
function used() {
  globalThis.gc()
  globalThis.gc()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** Opens and closes `n` hosts. @returns what grew, and the sums of what the hosts left */
function many(n, make) {
  const left = {}
  for (let i = 0; i < 5; i++) make() // code that is compiled once is no leak
  const before = used()
  for (let i = 0; i < n; i++) {
    for (const [what, count] of Object.entries(make())) left[what] = (left[what] ?? 0) + count
  }
  return { grown: used() - before, left }
}

console.log(JSON.stringify({ first: many(1000, firstHost), lab: many(50, labHost) }))
