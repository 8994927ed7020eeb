/** A whole IOMMU back end: silicon, driver, plug-in. docs/writing-a-back-end.md goes through it. */
import type * as io from '@ioasis/core'
import { ACCESS, Bus, Cpus, DMA, hpaHi, hpaLo, hpaOf, IommuDriver, IommuUnit, Memory } from '@ioasis/core'
import { MSI_WINDOW, Pages, TARGET, Tracer, UapiError } from '@ioasis/core'

/** Words in a page table: the target [51:12] of each page, and the bits of `ACCESS` that are allowed. */
const PAGES = 1 << 14
/** In the place of a page table: everything passes. */
const THROUGH = 1
const REASON = ['', 'requester is blocked', 'address above the aperture', 'page lacks the permission'] as const

/** The silicon. Storing to its registers sets the table of requesters and empties the cache; they read as the last fault. */
function silicon(ram: io.HostMemory, interrupt: () => void) {
  const cache = new Map<io.Hpa, number>()
  let requesters = 0
  let fault: readonly (number | bigint)[] = []
  const load = (offset: number): bigint => BigInt(fault[offset / 8] ?? 0)
  const store = (_offset: number, _size: number, value: bigint): void => {
    requesters = Number(value)
    cache.clear()
  }
  const fetch = (hpa: io.Hpa): number => {
    if (!cache.has(hpa) && ram.loadEntry(hpaHi(hpa), hpaLo(hpa), true)) cache.set(hpa, hpaOf(ram.entryHi, ram.entryLo))
    return cache.get(hpa) ?? 0
  }
  const refuse = ({ iova, requester, access }: io.DmaRequest, reason: number): io.Status => {
    fault = [iova, requester, access, reason]
    interrupt()
    return reason
  }
  const translate = (request: io.DmaRequest): io.Status => {
    const { iovaHi, iovaLo, out } = request
    const message = iovaHi === 0 && iovaLo >>> 20 === MSI_WINDOW.first >>> 20
    out.target = message ? TARGET.INTERRUPT : TARGET.MEMORY
    out.bytes = Math.min(request.length, 0x1000 - (iovaLo & 0xfff))
    out.snooped = !request.noSnoop
    out.hpaHi = iovaHi
    out.hpaLo = iovaLo
    const table = fetch(requesters + request.requester * 8)
    if (message || table === THROUGH) return DMA.OK
    if (table === 0) return refuse(request, 1)
    if (iovaHi !== 0 || iovaLo >>> 12 >= PAGES) return refuse(request, 2)
    const page = fetch(table + (iovaLo >>> 12) * 8)
    if ((page & request.access) !== request.access) return refuse(request, 3)
    out.hpaHi = hpaHi(page)
    out.hpaLo = (page & ~0xfff) | (iovaLo & 0xfff)
    return DMA.OK
  }
  return { mmio: { load, store }, translate, inspect: () => [], reasonText: (status: io.Status) => `${REASON[status]}` }
}

/** What a function can be attached to. */
type ToyDomain = io.Domain & { readonly table: io.Hpa }
const IDENTITY: ToyDomain = { type: 'identity', table: THROUGH }
const BLOCKED: ToyDomain = { type: 'blocked', table: 0 }

/** The driver. All units share one table of requesters: the page table of each, 0 while it is blocked. */
function toyDriver(cpu: io.Cpu, pages: io.PageAllocator, units: readonly io.Hpa[]): io.IommuDriver {
  const requesters = pages.alloc(0x8_0000, 'toy requesters')
  const flush = (): void => units.forEach((registers) => cpu.store(registers, 8, BigInt(requesters)))
  flush()
  /** In the order of attaching: functions behind one bridge share a requester, which follows the last of them. */
  const attached = new Map<io.PciFunction, io.Hpa>()
  const move = (fn: io.PciFunction, domain?: io.Domain): io.AttachResult => {
    attached.delete(fn)
    if (domain) attached.set(fn, (domain as ToyDomain).table)
    const [, table] = [...attached].findLast(([other]) => other.requester === fn.requester) ?? [fn, 0]
    cpu.store(requesters + fn.requester * 8, 8, BigInt(table))
    flush()
    return 'ok'
  }
  const alloc = ({ nestParent, dirtyTracking, data }: io.PagingOptions): io.PagingDomain & ToyDomain => {
    if (nestParent || dirtyTracking || data) throw new UapiError('EOPNOTSUPP', 'toy domain')
    const table = pages.alloc(PAGES * 8, 'toy page table')
    const at = (iova: io.Iova): io.Hpa => table + Number(iova >> 12n) * 8
    const limits = { aperture: { first: 0n, last: BigInt(PAGES) * 0x1000n - 1n }, pageSizes: 0x1000n }
    const map: io.PagingDomain['map'] = (iova, { count, hpa, bytes }, { read, write }) => {
      for (let run = 0, to = at(iova); run < count; run++)
        for (let done = 0; done < (bytes[run] as number); done += 0x1000, to += 8)
          cpu.store(to, 8, BigInt((hpa[run] as number) + done + (read ? ACCESS.READ : 0) + (write ? ACCESS.WRITE : 0)))
      flush()
    }
    const unmap = (iova: io.Iova, bytes: bigint): bigint => {
      let found = 0n
      for (let to = at(iova); to < at(iova + bytes); to += 8) {
        if (cpu.load(to, 8)) found += 0x1000n
        cpu.store(to, 8, 0n)
      }
      return found
    }
    const lookup = (iova: io.Iova): io.Hpa | undefined =>
      cpu.load(at(iova), 8) ? Number((cpu.load(at(iova), 8) & ~0xfffn) | (iova & 0xfffn)) : undefined
    const free = (): void => {
      if ([...attached.values()].includes(table)) throw new Error('toy: a domain is freed while it is attached')
      pages.free(table, PAGES * 8)
    }
    return { type: 'paging', table, ...limits, map, unmap, sync: flush, lookup, free }
  }
  const caps = { cacheCoherent: true, enforcesCoherency: false, isolatedMsi: false, pasidBits: 0 }
  const same = { reserved: [], caps, defaultDomain: IDENTITY, identity: IDENTITY, blocked: BLOCKED, paging: { alloc } }
  const calls = (fn: io.PciFunction) => ({ attach: (to: io.Domain) => move(fn, to), release: () => void move(fn) })
  const probe: io.IommuDriver['probe'] = (fn) => ({ fn, driver, requesterIds: [fn.requester], ...same, ...calls(fn) })
  const driver: io.IommuDriver = { name: 'toy', probe }
  return driver
}

/** The plug-in: units and their registers, one driver for all. @param units which requesters each has; together: all */
export function toyIommu(units: readonly io.IommuUnit['covers'][]): io.Plugin {
  const needs = [Memory, Cpus, Pages, Bus, Tracer]
  return { name: 'toy-iommu', contract: 1, needs, provides: [IommuDriver, IommuUnit], setup }
  function setup(host: io.PluginHost): void {
    const [[cpu], memory, trace] = [host.get(Cpus), host.get(Memory), host.get(Tracer)]
    const registers = units.map((covers, i) => {
      const [name, at] = [`toy${i}`, 0xfed0_0000 + i * 0x1000]
      const told = (n: number): bigint => cpu.load(at + n * 8, 8)
      const report = (): void => {
        const [requester, write, reason] = [Number(told(1)), told(2) !== 1n, Number(told(3))]
        trace.emit('fault', { unit: name, requester, iova: told(0), reason, write, text: `toy: ${REASON[reason]}` })
      }
      const unit = { name, covers, ...silicon(memory, report) }
      memory.addMmio(at, 0x1000, unit.mmio, name)
      host.get(Bus).addUnit(unit)
      host.provide(IommuUnit, unit)
      return at
    })
    host.provide(IommuDriver, toyDriver(cpu, host.get(Pages), registers))
  }
}
