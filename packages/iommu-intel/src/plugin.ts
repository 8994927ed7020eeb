/** The only file of this package that meets the host: units on the bus, their driver above them. */
import {
  AuditSource,
  Bus,
  Cpus,
  decodeMsi,
  type Hpa,
  Interrupts,
  IommuDriver,
  IommuUnit,
  Kernel,
  Memory,
  Pages,
  Pci,
  type Plugin,
  type PluginHost,
  Sysfs,
  Tracer,
} from '@ioasis/core'
import { contextsText, domainText, interruptsText, registersText } from './driver/debug-text.ts'
import type { MakeInvalidator, UnitPlace } from './driver/dmar-unit.ts'
import type { ReservedMemoryOptions } from './driver/reserved.ts'
import { coveredById, type Scope } from './driver/scope.ts'
import { unitAttributes } from './driver/unit-attributes.ts'
import { VtdDriver } from './driver/vtd-driver.ts'
import { VtdUnit } from './hw/unit.ts'
import type { DmarTable } from './spec/dmar-table.ts'
import { REGISTER_BYTES } from './spec/registers.ts'

/** One remapping unit of the machine. */
export interface IntelUnitOptions {
  /** Where its registers stand: a multiple of 4096. */
  readonly registers: Hpa
  /** Capability and Extended Capability Register, u64. */
  readonly cap: bigint
  readonly ecap: bigint
  /** Host address width in bits. Default 48. */
  readonly haw?: number
  /** `all`: what no other unit of the segment lists. A bridge in the list stands for all behind it. Default `all`. */
  readonly scope?: Scope
  /** Default 0. */
  readonly segment?: number
  /** Invalidations take effect only when software waits for them. */
  readonly lag?: boolean
  /** Where the specification leaves a choice, or QEMU departs from it. Default `specification`. */
  readonly personality?: 'specification' | 'qemu'
}

/** The VT-d side of a machine and the options of its kernel. */
export interface IntelOptions {
  /** In the order of firmware: `dmar0`, `dmar1`, ... Default: one for everything, as QEMU's q35 with snoop control. */
  readonly units?: readonly IntelUnitOptions[]
  /** Memory that firmware says some functions keep using (RMRR). */
  readonly reserved?: readonly ReservedMemoryOptions[]
  /** iommu=pt: devices pass through by default. */
  readonly identityDefault?: boolean
  /** Firmware offers interrupt remapping. Default true. */
  readonly interruptRemapping?: boolean
  /** The kernel was built with CONFIG_INTEL_IOMMU_FLOPPY_WA. Default false. */
  readonly floppy?: boolean
  /** How the driver's invalidations get to a unit. Default: its queue, else its registers. */
  readonly makeQueue?: MakeInvalidator
}

/** QEMU's unit with aw-bits=48, intremap=on, snoop-control=on. */
export const DEFAULT_UNIT: IntelUnitOptions = Object.freeze({
  registers: 0xfed9_0000,
  cap: 0x80d2_008c_222f_0606n,
  ecap: 0xf0_0fcan,
  haw: 48,
})

/** Units and driver of one host. */
export function intelIommu(options: IntelOptions = {}): Plugin {
  return {
    name: 'iommu-intel',
    contract: 1,
    needs: [Kernel, Memory, Cpus, Pages, Bus, Pci, Interrupts, Tracer, Sysfs],
    provides: [IommuDriver, IommuUnit, AuditSource],
    setup: (host) => {
      const { units = [DEFAULT_UNIT], reserved = [] } = options
      const pages = host.get(Pages)
      for (const { first, last } of reserved) pages.reserve(first, last + 1 - first)
      const places = units.map(({ registers, segment = 0, scope = 'all' }, i): UnitPlace => ({
        name: `dmar${i}`,
        registers,
        segment,
        scope,
      }))
      const removals = units.map((unit, i) => addUnit(host, unit, places[i] as UnitPlace, places))
      const cpu = host.get(Cpus)[0]
      const parts = { cpu, pages, interrupts: host.get(Interrupts), trace: host.get(Tracer) }
      const driver = new VtdDriver(parts, { ...options, units: places, reserved })
      host.provide(IommuDriver, driver)
      host.provide(AuditSource, driver)
      showUnits(host, driver)
      if (host.get(Kernel).iommuDebugFiles) showDebugFiles(host, driver)
      // Core probes the functions first, so that they have their domains when translation starts.
      host.onReady(() => driver.enable())
      host.onClose(() => {
        driver.close()
        for (const remove of removals.toReversed()) remove()
      })
    },
  }
}

/** Puts the units under /sys/class/iommu. */
function showUnits(host: PluginHost, driver: VtdDriver): void {
  const sysfs = host.get(Sysfs)
  for (const unit of driver.units) {
    const directory = `/sys/devices/virtual/iommu/${unit.name}`
    for (const [name, attribute] of Object.entries(unitAttributes(unit))) {
      sysfs.addFile(`${directory}/intel-iommu/${name}`, attribute)
    }
    sysfs.addLink(`/sys/class/iommu/${unit.name}`, directory)
  }
}

/** Puts the driver's own view of its tables under /sys/kernel/debug. */
function showDebugFiles(host: PluginHost, driver: VtdDriver): void {
  const sysfs = host.get(Sysfs)
  const directory = '/sys/kernel/debug/iommu/intel'
  const { units, interruptTables } = driver
  sysfs.addFile(`${directory}/iommu_regset`, { show: () => registersText(units) })
  sysfs.addFile(`${directory}/dmar_translation_struct`, { show: () => contextsText(units) })
  sysfs.addFile(`${directory}/ir_translation_struct`, { show: () => interruptsText(units, interruptTables) })
  driver.onDevices({
    added: ({ fn, unit }) => {
      const show = (): string => domainText(unit, fn.bdf)
      sysfs.addFile(`${directory}/${fn.name}/domain_translation_struct`, { show })
    },
    removed: ({ fn }) => sysfs.remove(`${directory}/${fn.name}`),
  })
}

/** Makes the silicon, places its registers and connects it to the bus. @returns takes the registers away */
function addUnit(host: PluginHost, options: IntelUnitOptions, place: UnitPlace, all: readonly UnitPlace[]): () => void {
  const memory = host.get(Memory)
  const pci = host.get(Pci)
  const interrupts = host.get(Interrupts)
  const { cap, ecap, haw = 48, lag = false, personality = 'specification' } = options
  const covers = (segment: number, requester: number): boolean =>
    coveredById(all, segment, requester, pci.functions) === place
  const unit = new VtdUnit(
    { name: place.name, cap, ecap, haw, covers, lag, personality },
    memory,
    (address, data) => interrupts.deliver(decodeMsi({ address, data })),
    host.get(Tracer),
  )
  const remove = memory.addMmio(place.registers, REGISTER_BYTES, unit.mmio, place.name)
  host.get(Bus).addUnit(unit)
  host.provide(IommuUnit, unit)
  host.provide(AuditSource, { name: place.name, claims: () => unit.inspect() })
  return remove
}

/**
 * A recorded machine's options: what its firmware tells, and what its units' registers read.
 * @param table of the machine
 * @param registersOf CAP and ECAP of the unit at an address
 */
export function intelOptionsOf(
  table: DmarTable,
  registersOf: (registers: Hpa) => { readonly cap: bigint; readonly ecap: bigint },
): IntelOptions {
  return {
    units: table.units.map(({ registers, segment, includeAll, scope }) => ({
      registers,
      segment,
      scope: includeAll ? 'all' : scope,
      haw: Math.min(table.hostAddressWidth, 52),
      ...registersOf(registers),
    })),
    reserved: table.reserved,
    interruptRemapping: table.interruptRemapping,
  }
}
