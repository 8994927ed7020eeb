import {
  bdf,
  createHost,
  DMA,
  IommuGroups,
  IommuUnit,
  pageRuns,
  Pages,
  Pci,
  type PagingDomain,
  Tracer,
} from '@ioasis/core'
import { flushGather } from '@ioasis/core'
import { expect, test } from 'vitest'
import { iommuMock } from '../plugin.ts'
import { FAULT } from './unit.ts'

/** A function behind a unit, attached to a domain that maps one page for reading and writing and one for reading. */
function setUp() {
  const host = createHost({ plugins: [iommuMock({ units: [() => true] })] })
  const config = new Uint8Array(256)
  config[4] = 4
  const fn = host.get(Pci).place({ name: 'master', config, bars: [] }, { bdf: bdf(0, 1, 0) })
  const device = host.get(IommuGroups).deviceOf(fn)
  const domain = device?.paging?.alloc({ dirtyTracking: true }) as PagingDomain
  const hpa = host.get(Pages).alloc(4096)
  domain.map(0x100_0000n, pageRuns([hpa, 4096]), { read: true, write: true })
  domain.map(0x100_1000n, pageRuns([hpa, 4096]), { read: true, write: false })
  device?.attach(domain, {})
  const faults: string[] = []
  host.get(Tracer).on('fault', ({ text }) => faults.push(text))
  const dirty = (): bigint[] => {
    const found: bigint[] = []
    const gather = flushGather()
    domain.dirty?.read({ first: 0n, last: 0x7fff_ffffn }, (iova) => found.push(iova), { clear: true, gather })
    return found
  }
  return { host, port: fn.dma, domain, hpa, faults, dirty, device }
}
const bytes = Uint8Array.of(1, 2, 3, 4)

test('moves data where the page table leads, and refuses what it does not allow', () => {
  const { host, port, hpa, faults } = setUp()
  expect([port.write(0x100_0010n, bytes), port.read(0x100_1010n, new Uint8Array(4))]).toEqual([DMA.OK, DMA.OK])
  expect(port.write(0x100_1010n, bytes)).toBe(FAULT.PERMISSION)
  expect(port.read(0x200_0000n, new Uint8Array(4))).toBe(FAULT.NOT_MAPPED)
  port.request.pasid = 5
  expect(port.read(0x100_0000n, new Uint8Array(4))).toBe(FAULT.PASID)
  expect(faults).toEqual(['mock: page lacks the permission', 'mock: nothing is mapped', 'mock: request with a PASID'])
  expect(host.all(IommuUnit)[0]?.reasonText(FAULT.BLOCKED)).toBe('requester is blocked')
  expect(hpa).toBeGreaterThan(0)
  host.close()
})

test('marks what was written while the domain records, at once', () => {
  const { host, port, domain, dirty } = setUp()
  port.write(0x100_0010n, bytes)
  expect(dirty()).toEqual([])
  domain.dirty?.set(true)
  port.read(0x100_1000n, new Uint8Array(4))
  expect(dirty()).toEqual([])
  port.write(0x100_0010n, bytes)
  expect([dirty(), dirty()]).toEqual([[0x100_0000n], []])
  domain.dirty?.set(false)
  port.write(0x100_0010n, bytes)
  expect(dirty()).toEqual([])
  host.close()
})

test('a blocked function reaches nothing; one that passes untranslated, everything', () => {
  const { host, port, device, domain, hpa } = setUp()
  if (device) device.attach(device.blocked, { replacing: domain })
  expect(port.read(BigInt(hpa), new Uint8Array(4))).toBe(FAULT.BLOCKED)
  if (device?.identity) device.attach(device.identity, {})
  expect(port.read(BigInt(hpa), new Uint8Array(4))).toBe(DMA.OK)
  host.close()
})
