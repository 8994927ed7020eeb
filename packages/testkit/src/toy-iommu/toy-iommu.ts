/** A whole IOMMU back end in one file: silicon, driver, plug-in. docs/writing-a-back-end.md goes through it. */
import type * as io from '@ioasis/core'
import { ACCESS, Bus, Cpus, decodeMsi, DMA, hpaHi, hpaLo, hpaOf, Interrupts, IommuDriver } from '@ioasis/core'
import { IommuUnit, Memory, MSI_WINDOW, Pages, TARGET, Tracer } from '@ioasis/core'

/** Registers, 64 bits each. Reading FENCE runs all flushes; reading FAULT takes one fault, 0 when there is none. */
const REG = { DEVICES: 0, FLUSH: 8, FENCE: 16, FAULT: 24 } as const
/** The word of a device: its page table [51:12], and one of these. */
const MODE = { BLOCKED: 0, PAGED: 1, THROUGH: 2 } as const
/** Words in a page table: the target [51:12] of each page, and the bits of `ACCESS` that are allowed. */
const PAGES = 1 << 14
const REASON = ['', 'device is blocked', 'address above the aperture', 'page lacks the permission'] as const
const frame = (word: number): io.Hpa => word - (word % 0x1000)

/** One unit of a host. `lag`: flushes wait for the fence. */
export type ToyUnit = Pick<io.IommuUnit, 'name' | 'covers'> & { readonly registers: io.Hpa; readonly lag: boolean }

/** The silicon: registers and memory are all it shares with the driver. */
function silicon(unit: ToyUnit, memory: io.HostMemory, raise: () => void): io.IommuUnit {
  const cache = new Map<io.Hpa, number>()
  const late: { readonly first: io.Hpa; readonly bytes: number }[] = []
  const faults: bigint[] = []
  let devices = 0
  const fence = (): void => {
    for (const { first, bytes } of late.splice(0)) for (let i = 0; i < bytes; i += 8) cache.delete(first + i)
  }
  const fetch = (hpa: io.Hpa): number => {
    const cached = cache.get(hpa)
    if (cached !== undefined || !memory.loadEntry(hpaHi(hpa), hpaLo(hpa), true)) return cached ?? 0
    const word = hpaOf(memory.entryHi, memory.entryLo)
    if (word & 3) cache.set(hpa, word)
    return word
  }
  const refuse = (request: io.DmaRequest, reason: number): io.Status => {
    const fault = ((request.iova >> 12n) << 24n) | BigInt((request.requester << 8) | (reason << 2) | request.access)
    if (faults.length < 16 && faults.push(BigInt.asUintN(64, fault)) === 1) raise()
    return reason
  }
  const load = (offset: number): bigint => {
    if (offset === REG.FENCE) fence()
    return offset === REG.FAULT ? (faults.shift() ?? 0n) : 0n
  }
  const store = (offset: number, _size: number, value: bigint): void => {
    if (offset === REG.DEVICES) devices = Number(value)
    if (offset === REG.FLUSH) late.push({ first: Number(value >> 15n) * 8, bytes: Number(value & 0x7fffn) * 8 })
    if (!unit.lag) fence()
  }
  const translate = (request: io.DmaRequest): io.Status => {
    const { iovaHi, iovaLo, out } = request
    const message = iovaHi === 0 && iovaLo >>> 20 === MSI_WINDOW.first >>> 20
    out.target = message ? TARGET.INTERRUPT : TARGET.MEMORY
    out.bytes = Math.min(request.length, 0x1000 - (iovaLo & 0xfff))
    out.snooped = !request.noSnoop
    out.hpaHi = iovaHi
    out.hpaLo = iovaLo
    const device = fetch(devices + request.requester * 8)
    if (message || device & MODE.THROUGH) return DMA.OK
    if (!(device & MODE.PAGED)) return refuse(request, 1)
    if (iovaHi !== 0 || iovaLo >>> 12 >= PAGES) return refuse(request, 2)
    const page = fetch(frame(device) + (iovaLo >>> 12) * 8)
    if ((page & request.access) !== request.access) return refuse(request, 3)
    out.hpaHi = hpaHi(page)
    out.hpaLo = (page & ~0xfff) | (iovaLo & 0xfff)
    return DMA.OK
  }
  return { ...unit, mmio: { load, store }, translate, inspect: () => [], reasonText: (status) => REASON[status] ?? '' }
}

/** A unit as the driver reaches it. */
type Unit = { read(offset: number): bigint; write(offset: number, value: number | bigint): void; devices: io.Hpa }
/** Drops words that the unit may have cached, and waits. */
function flush(unit: Unit, first: io.Hpa, words: number): void {
  unit.write(REG.FLUSH, (BigInt(first / 8) << 15n) | BigInt(words))
  unit.read(REG.FENCE)
}
/** What a device can be attached to, and by which units it is in use: one entry per device. */
type Attachable = io.Domain & { readonly word: number; readonly users: Unit[] }

/** The driver's page table, for any number of units. */
function pagingDomain(cpu: io.Cpu, pages: io.PageAllocator): io.PagingDomain & Attachable {
  const table = pages.alloc(PAGES * 8, 'toy page table')
  const users: Unit[] = []
  const at = (iova: io.Iova): io.Hpa => table + Number(iova >> 12n) * 8
  return {
    type: 'paging',
    word: table + MODE.PAGED,
    users,
    aperture: { first: 0n, last: BigInt(PAGES) * 0x1000n - 1n },
    pageSizes: 0x1000n,
    map(iova, runs, prot) {
      let to = at(iova)
      for (let run = 0; run < runs.count; run++) {
        const word = (runs.hpa[run] as number) + (prot.read ? ACCESS.READ : 0) + (prot.write ? ACCESS.WRITE : 0)
        const bytes = runs.bytes[run] as number
        for (let done = 0; done < bytes; done += 0x1000, to += 8) cpu.store(to, 8, BigInt(word + done))
      }
    },
    unmap(iova, bytes, gather) {
      let found = 0n
      for (let to = at(iova); to < at(iova + bytes); to += 8) {
        if (cpu.load(to, 8) !== 0n) found += 0x1000n
        cpu.store(to, 8, 0n)
      }
      if (iova < gather.first) gather.first = iova
      if (iova + bytes > gather.last) gather.last = iova + bytes - 1n
      return found
    },
    sync({ first, last }) {
      if (first <= last) for (const unit of new Set(users)) flush(unit, at(first), Number((last - first) >> 12n) + 1)
    },
    lookup(iova) {
      const word = Number(cpu.load(at(iova), 8))
      return word === 0 ? undefined : frame(word) + Number(iova & 0xfffn)
    },
    free() {
      if (users.length > 0) throw new Error('toy: a domain is freed while it is attached')
      pages.free(table, PAGES * 8)
    },
  }
}

/** One function as the driver sees it: a word in its unit's table of devices. */
function toyDevice(fn: io.PciFunction, driver: io.IommuDriver, unit: Unit, cpu: io.Cpu, pages: io.PageAllocator) {
  const identity: Attachable = { type: 'identity', word: MODE.THROUGH, users: [] }
  const blocked: Attachable = { type: 'blocked', word: MODE.BLOCKED, users: [] }
  const entry = unit.devices + fn.requester * 8
  let now = blocked
  const attach = (domain: io.Domain): io.AttachResult => {
    const old = now
    now = domain as Attachable
    now.users.push(unit)
    cpu.store(entry, 8, BigInt(now.word))
    flush(unit, entry, 1)
    old.users.splice(old.users.indexOf(unit), 1)
    if (old.type === 'paging' && !old.users.includes(unit)) flush(unit, frame(old.word), PAGES)
    return 'ok'
  }
  const caps = { cacheCoherent: true, enforcesCoherency: false, isolatedMsi: false, pasidBits: 0 }
  const domains = { defaultDomain: identity, identity, blocked, paging: { alloc: () => pagingDomain(cpu, pages) } }
  const ids = { fn, driver, requesterIds: [fn.requester], reserved: [] }
  return { ...ids, caps, ...domains, attach, release: () => attach(blocked) }
}

/** The plug-in: units on the bus, their registers in memory, one driver for all of them. */
export function toyIommu(units: readonly ToyUnit[]): io.Plugin {
  const needs = [Memory, Cpus, Pages, Bus, Interrupts, Tracer]
  return { name: 'toy-iommu', contract: 1, needs, provides: [IommuDriver, IommuUnit], setup }
  function setup(host: io.PluginHost): void {
    const [[cpu], pages, interrupts] = [host.get(Cpus), host.get(Pages), host.get(Interrupts)]
    const [trace, vector] = [host.get(Tracer), interrupts.allocate()]
    const found = units.map((unit) => {
      const message = { address: BigInt(MSI_WINDOW.first), data: vector }
      const hardware = silicon(unit, host.get(Memory), () => interrupts.deliver(decodeMsi(message)))
      host.get(Memory).addMmio(unit.registers, 0x1000, hardware.mmio as io.MmioWindow, unit.name)
      host.get(Bus).addUnit(hardware)
      host.provide(IommuUnit, hardware)
      const read = (offset: number): bigint => cpu.load(unit.registers + offset, 8)
      const write: Unit['write'] = (offset, value) => cpu.store(unit.registers + offset, 8, BigInt(value))
      const devices = pages.alloc(0x8_0000, 'toy device table')
      write(REG.DEVICES, devices)
      interrupts.handle(vector, () => {
        for (let fault = read(REG.FAULT); fault !== 0n; fault = read(REG.FAULT)) {
          const reason = Number((fault >> 2n) & 3n)
          const where = { unit: unit.name, requester: Number((fault >> 8n) & 0xffffn), iova: (fault >> 24n) << 12n }
          trace.emit('fault', { ...where, reason, write: (fault & 2n) !== 0n, text: REASON[reason] ?? '' })
        }
      })
      return { ...unit, read, write, devices }
    })
    const driver: io.IommuDriver = {
      name: 'toy',
      probe(fn) {
        const unit = found.find((u) => u.covers(fn.segment, fn.requester))
        return unit && toyDevice(fn, driver, unit, cpu, pages)
      },
    }
    host.provide(IommuDriver, driver)
  }
}
