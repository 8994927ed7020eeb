/**
 * One unit as its driver sees it: brought up through its registers, asked to forget through its queue, taken down again.
 * drivers/iommu/intel/iommu.c init_dmars, iommu_set_root_entry, iommu_enable_translation; dmar.c map_iommu.
 *
 * Not modelled: translation left on by an earlier kernel (kdump), protected memory regions in use, suspend.
 */
import type { Cpu, Hpa, Interrupts, PageAllocator, Trace } from '@ioasis/core'
import { bitsOf } from '@ioasis/core'
import { GCMD, PMEN, REG } from '../spec/registers.ts'
import { ContextTables } from './context-table.ts'
import { DomainIds } from './domain-ids.ts'
import { FaultEvent } from './fault-handler.ts'
import { ALL_CONTEXTS, ALL_TRANSLATIONS, type Invalidation } from './invalidation.ts'
import type { Invalidator, InvalidatorParts } from './invalidation-queue.ts'
import { type UnitCapabilities, unitCapabilities } from './unit-capabilities.ts'
import { UnitMemory } from './unit-memory.ts'
import { UnitRegisters } from './unit-registers.ts'
import type { Scope } from './scope.ts'

/** Where firmware says a unit is. */
export interface UnitPlace {
  /** `dmar0`. */
  readonly name: string
  /** Where its registers begin. */
  readonly registers: Hpa
  /** PCI segment of the functions it covers. */
  readonly segment: number
  readonly scope: Scope
}

/** What a driver has of its host. */
export interface DriverHost {
  /** The boot CPU: it reaches registers and tables. */
  readonly cpu: Cpu
  readonly pages: PageAllocator
  readonly interrupts: Interrupts
  readonly trace: Trace
}

/** How invalidations get to a unit. */
export type MakeInvalidator = (parts: InvalidatorParts) => Invalidator

/** One unit. */
export class DmarUnit {
  readonly name: string
  readonly segment: number
  readonly scope: Scope
  readonly registers: UnitRegisters
  readonly capabilities: UnitCapabilities
  /** Architecture version: major in 7:4, minor in 3:0. */
  readonly version: number
  readonly memory: UnitMemory
  readonly contexts: ContextTables
  readonly ids: DomainIds
  readonly queue: Invalidator
  readonly #trace: Trace
  readonly #faults: FaultEvent

  /**
   * Brings the unit up, short of translating: faults cleared, queue on, root table set, caches emptied, fault event on.
   * @throws UapiError ENOMEM, with all memory given back
   */
  constructor(place: UnitPlace, host: DriverHost, makeQueue: MakeInvalidator) {
    this.name = place.name
    this.segment = place.segment
    this.scope = place.scope
    this.#trace = host.trace
    const registers = new UnitRegisters(host.cpu, place.registers)
    this.registers = registers
    this.capabilities = unitCapabilities(registers.read64(REG.CAP), registers.read64(REG.ECAP))
    this.version = registers.read(REG.VER) & 0xff
    this.memory = new UnitMemory(host.cpu, host.pages, !this.capabilities.coherent)
    this.ids = new DomainIds(this.name, this.capabilities.domains)
    this.#faults = new FaultEvent(this, host.interrupts, host.trace)

    this.#faults.drain()
    const status = registers.read(REG.GSTS)
    if (status & GCMD.QIE) registers.switchOff(GCMD.QIE)
    this.queue = makeQueue({
      unit: this.name,
      capabilities: this.capabilities,
      registers,
      cpu: host.cpu,
      pages: host.pages,
    })
    try {
      if (status & GCMD.TE) registers.switchOff(GCMD.TE)
      this.contexts = new ContextTables(this.name, this.memory)
    } catch (error) {
      this.queue.close()
      throw error
    }
    this.#setRoot()
    this.#faults.enable()
  }

  /** From now on every request is translated. The kernel does it once all devices have their domains. */
  enable(): void {
    this.registers.switchOn(GCMD.TE)
    if (!this.capabilities.protectedMemory) return
    this.registers.write(REG.PMEN, this.registers.read(REG.PMEN) & ~bitsOf(PMEN.EPM))
    this.registers.waitFor(REG.PMEN, bitsOf(PMEN.PRS), 0)
  }

  /** Translation off, fault event and queue off, all memory given back. @throws Error while a domain is attached */
  close(): void {
    if (this.ids.used > 0)
      throw new Error(`${this.name}: ${this.ids.used} domain ids are in use while the unit is taken down`)
    if (this.registers.read(REG.GSTS) & GCMD.TE) this.registers.switchOff(GCMD.TE)
    this.#faults.close()
    this.queue.close()
    this.contexts.free()
  }

  /** Asks the unit to forget, and waits until it has. */
  invalidate(requests: readonly Invalidation[]): void {
    if (this.#trace.wants('flushed')) for (const request of requests) this.#tell(request)
    this.queue.submit(requests)
  }

  /** Pushes writes out of the chipset's buffer, where the unit asks for that: "6.8 Write Buffer Flushing". */
  flushWriteBuffer(): void {
    if (this.capabilities.writeBuffer) this.registers.start(GCMD.WBF, 0)
  }

  #setRoot(): void {
    this.flushWriteBuffer()
    this.registers.write64(REG.RTADDR, BigInt(this.contexts.root))
    this.registers.start(GCMD.SRTP, GCMD.SRTP)
    if (!this.capabilities.rootEmptiesCaches) {
      this.invalidate([ALL_CONTEXTS])
      this.invalidate([ALL_TRANSLATIONS])
    }
    this.flushWriteBuffer()
  }

  #tell(request: Invalidation): void {
    const pages = request.kind === 'iotlb' && request.what === 'pages'
    this.#trace.emit('flushed', {
      unit: this.name,
      what: `${request.kind} ${request.what}${request.what === 'global' ? '' : ` ${request.domain}`}`,
      ...(pages && { iova: request.iova, bytes: 1n << BigInt(12 + request.order) }),
    })
  }
}
