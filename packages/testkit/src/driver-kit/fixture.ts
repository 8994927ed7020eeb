// oxlint-disable vitest/no-standalone-expect -- these are the verbs of tests
/** A world with the verbs that tests of a driver need: map, attach, and DMA that is looked at where it lands. */
import {
  type AttachResult,
  DMA,
  DmaRequest,
  type Domain,
  flushGather,
  type Hpa,
  type Iova,
  pageRuns,
  type PageRuns,
  type PagingDomain,
  type PagingOptions,
  type Prot,
  type Status,
  UapiError,
} from '@ioasis/core'
import { expect } from 'vitest'
import { mustBeSound } from '../audit/audit.ts'
import type { DriverWorld, WorldDevice } from './world.ts'

/** Read and write. */
export const RW: Prot = { read: true, write: true }

/** One test's hold on its world. */
export class DriverFixture {
  readonly world: DriverWorld
  /** Bytes of one host page. */
  readonly page: number
  readonly #attached = new Map<object, Domain>()
  #pattern = 0

  constructor(world: DriverWorld) {
    this.world = world
    this.page = world.variant.pageSize
  }

  /** Two functions behind the first unit. */
  get first(): WorldDevice {
    return this.#device(0)
  }
  get second(): WorldDevice {
    return this.#device(1)
  }
  /** The function behind the second unit; only with two units. */
  get elsewhere(): WorldDevice {
    return this.#device(2)
  }

  /** `n` pages in bytes. */
  bytes(n: number): bigint {
    return BigInt(n) * BigInt(this.page)
  }
  /** Fresh host memory of `n` contiguous pages, aligned to its size. */
  memory(n = 1): Hpa {
    return this.world.pages.alloc(n * this.page, 'target of DMA')
  }
  /** A new paging domain. */
  domain(device: WorldDevice = this.first, options: PagingOptions = {}): PagingDomain {
    const { paging } = device.iommu
    if (!paging) throw new Error('the kit asked a driver without paging domains for one')
    return paging.alloc(options)
  }
  /** An iova well inside the domain, aligned to 4 MiB. @param pages distance from there, in pages */
  iova(domain: PagingDomain, pages = 0): Iova {
    const start = (domain.aperture.first + (1n << 23n) - 1n) & ~((1n << 22n) - 1n)
    return start + this.bytes(pages)
  }

  /** What a device is attached to. */
  attached(device: WorldDevice): Domain {
    return this.#attached.get(device.iommu) ?? device.iommu.defaultDomain
  }
  /** Attaches in place of what is attached. */
  attach(device: WorldDevice, domain: Domain): AttachResult {
    const result = device.iommu.attach(domain, { replacing: this.attached(device) })
    if (result === 'ok') this.#attached.set(device.iommu, domain)
    return result
  }
  /** As `attach`, which must not be refused. */
  mustAttach(device: WorldDevice, domain: Domain): void {
    expect(this.attach(device, domain), `attaching a ${domain.type} domain`).toBe('ok')
  }
  /** A new domain with a device attached to it. */
  attachedDomain(device: WorldDevice = this.first): PagingDomain {
    const domain = this.domain(device)
    this.mustAttach(device, domain)
    return domain
  }

  /** Maps contiguous host memory. */
  map(domain: PagingDomain, iova: Iova, hpa: Hpa, bytes: number | bigint = this.page, prot: Prot = RW): void {
    this.mapRuns(domain, iova, pageRuns([hpa, Number(bytes)]), prot)
  }
  mapRuns(domain: PagingDomain, iova: Iova, runs: PageRuns, prot: Prot = RW): void {
    domain.map(iova, runs, prot)
  }
  /** Maps one fresh page. @returns its hpa */
  mapNew(domain: PagingDomain, iova: Iova, prot: Prot = RW): Hpa {
    const hpa = this.memory()
    this.map(domain, iova, hpa, this.page, prot)
    return hpa
  }
  /** Unmaps and flushes. @returns the bytes that were mapped */
  unmap(domain: PagingDomain, iova: Iova, bytes: number | bigint = this.page): bigint {
    const gather = flushGather()
    const found = domain.unmap(iova, BigInt(bytes), gather)
    domain.sync(gather)
    return found
  }

  /** A DMA write of 8 fresh bytes. */
  write(device: WorldDevice, iova: Iova): Status {
    return device.port.write(iova, this.fresh())
  }
  /** A DMA read of 8 bytes. */
  read(device: WorldDevice, iova: Iova): Status {
    return device.port.read(iova, new Uint8Array(8))
  }
  /** DMA to `iova` must land at `hpa`, writing and reading. */
  lands(device: WorldDevice, iova: Iova, hpa: Hpa): void {
    this.writeLands(device, iova, hpa)
    this.readLands(device, iova, hpa)
  }
  writeLands(device: WorldDevice, iova: Iova, hpa: Hpa): void {
    const sent = this.fresh()
    expect(device.port.write(iova, sent), `status of a write to iova ${iova.toString(16)}`).toBe(DMA.OK)
    expect(this.peek(hpa), `memory at hpa ${hpa.toString(16)} after a write`).toEqual(sent)
  }
  readLands(device: WorldDevice, iova: Iova, hpa: Hpa): void {
    const stored = this.fresh()
    const got = new Uint8Array(8)
    this.world.cpus[0].write(hpa, stored)
    expect(device.port.read(iova, got), `status of a read of iova ${iova.toString(16)}`).toBe(DMA.OK)
    expect(got, `bytes read from iova ${iova.toString(16)}`).toEqual(stored)
  }
  /** DMA to `iova` must be refused by the unit, writing and reading. */
  faults(device: WorldDevice, iova: Iova): void {
    expect(this.write(device, iova), `fault reason of a write to iova ${iova.toString(16)}`).toBeGreaterThan(0)
    expect(this.read(device, iova), `fault reason of a read of iova ${iova.toString(16)}`).toBeGreaterThan(0)
  }

  /** Requests with this id must be refused by the unit, whether or not a function has it. */
  refused({ requester, unit }: WorldDevice, iova: Iova): void {
    const request = new DmaRequest(requester)
    request.iovaHi = Number(iova >> 32n) | 0
    request.iovaLo = Number(iova & 0xffff_ffffn) | 0
    request.length = 8
    const status = this.world.units[unit]?.translate(request)
    expect(status, `fault reason of a request with id ${requester.toString(16)}`).toBeGreaterThan(0)
  }
  /** Attaches several functions, which must not be refused. */
  mustAttachAll(devices: readonly WorldDevice[], domain: Domain): void {
    for (const device of devices) this.mustAttach(device, domain)
  }

  /** Eight bytes not used before in this test. */
  fresh(): Uint8Array {
    const n = ++this.#pattern
    return Uint8Array.of(n, n >>> 8, 0xa5, 0x5a, ~n, 0xc3, 0x3c, 0x7e)
  }
  /** Eight bytes as a CPU sees them. */
  peek(hpa: Hpa): Uint8Array {
    const bytes = new Uint8Array(8)
    this.world.cpus[0].read(hpa, bytes)
    return bytes
  }

  /** Lets each allocation of `action` fail in turn, until none is left to fail; the audit must hold after each. */
  failingEachAllocation(action: () => void, afterFailure: (n: number) => void): void {
    const { pages } = this.world
    for (let n = 1; ; n++) {
      if (n > 10_000) throw new Error('an operation with 10,000 allocations has no end')
      pages.failAfter = n
      try {
        action()
        return
      } catch (error) {
        if (!(error instanceof UapiError)) throw error
        expect(error.errno, `when allocation ${n} fails`).toBe('ENOMEM')
      } finally {
        pages.failAfter = undefined
      }
      mustBeSound(this.world.host)
      afterFailure(n)
    }
  }

  #device(i: number): WorldDevice {
    const device = this.world.devices[i]
    if (!device) throw new Error(`the world has no device ${i}`)
    return device
  }
}
