/** The only file of this package that meets the host: units on the bus, their functions, their driver above them. */
import {
  AuditSource,
  type Bdf,
  Bus,
  Clock,
  Cpus,
  decodeMsi,
  type Hpa,
  Interrupts,
  IommuDriver,
  IommuUnit,
  join,
  Kernel,
  Memory,
  Pages,
  Pci,
  type PciFunction,
  type Plugin,
  type PluginHost,
  Sysfs,
  Tracer,
} from '@ioasis/core'
import { AmdDriver } from './driver/amd-driver.ts'
import { showDebugFiles } from './driver/debug-text.ts'
import type { AmdDriverOptions } from './driver/driver-options.ts'
import { blocksOf, SegmentMap } from './driver/ivrs-map.ts'
import { showUnits } from './driver/unit-attributes.ts'
import { AmdUnit } from './hw/unit.ts'
import { buildIvrs } from './spec/build-ivrs.ts'
import type { IvhdBlock, IvhdDevice, IvmdBlock, IvrsTable } from './spec/ivrs-table.ts'
import { unitFunction } from './unit-function.ts'

/** One unit of the machine. */
export interface AmdUnitOptions {
  /** Where its registers stand: a multiple of 16 KiB. */
  readonly registers: Hpa
  /** Extended Feature Registers, u64. */
  readonly efr: bigint
  readonly efr2?: bigint
  /** First word of its function's capability block: remote IOTLBs, absent entries cached. Default: IOTLBs, EFR. */
  readonly header?: number
  /** Its function. Default 00:00.2, for further units 3, 4, ... One is made where none stands. */
  readonly bdf?: Bdf
  /** Where the capability block stands there. Default 0x40. */
  readonly capabilityOffset?: number
  /** The functions it covers, as the IVRS table lists them. Default: all that no other unit lists. */
  readonly devices?: readonly IvhdDevice[]
  readonly segment?: number
  /** "Flags" of the IVRS table. Default 0. */
  readonly flags?: number
  /** The table's block is of type 10h: it does not tell the feature registers. */
  readonly old?: boolean
  /** "Attributes" of its block, of type 10h "feature reporting": what firmware says against using host tables, wide interrupt entries. Default 0. */
  readonly attributes?: number
  /** Invalidations take effect only when software waits for them. */
  readonly lag?: boolean
  /** Where the specification leaves a choice, or QEMU departs from it. Default `specification`. */
  readonly personality?: 'specification' | 'qemu'
}

/** The AMD-Vi side of a machine and the options of its kernel. */
export interface AmdOptions extends Omit<AmdDriverOptions, 'table' | 'functionAt'> {
  /** In the order of firmware: `ivhd0`, `ivhd1`, ... Default: one for everything. */
  readonly units?: readonly AmdUnitOptions[]
  /** Memory that firmware says some functions keep using. */
  readonly memory?: readonly IvmdBlock[]
  /** "IVinfo" of the table. Default: EFRSup. */
  readonly info?: number
}

/** IOTLBs and EFR. */
const DEFAULT_HEADER = 0x090b_000f
/**
 * A unit with what the specification has to offer for page tables: six levels of v1, two levels of GCR3 and 16-bit PASIDs for v2,
 * page requests, accessed and dirty bits, v2 on v1, 128-bit interrupt entries.
 */
export const DEFAULT_UNIT: AmdUnitOptions = Object.freeze({
  registers: 0xfed8_0000,
  efr: 0x0017_002f_0000_48dan,
  efr2: 0x8n,
  header: DEFAULT_HEADER,
})

/** Units and driver of one host. */
export function amdIommu(options: AmdOptions = {}): Plugin {
  return {
    name: 'iommu-amd',
    contract: 1,
    needs: [Kernel, Memory, Cpus, Pages, Bus, Pci, Interrupts, Tracer, Sysfs, Clock],
    provides: [IommuDriver, IommuUnit, AuditSource],
    setup: (host) => {
      const table = ivrsOf(options)
      const pages = host.get(Pages)
      for (const { first, size } of table.memory) pages.reserve(first, size)
      const units = (options.units ?? [DEFAULT_UNIT]).map((unit, i) => addUnit(host, unit, i, table))
      const pci = host.get(Pci)
      const parts = { cpu: host.get(Cpus)[0], pages, interrupts: host.get(Interrupts), trace: host.get(Tracer) }
      const functionAt = (segment: number, bdf: Bdf): PciFunction | undefined => pci.at(segment, bdf)
      const driver = new AmdDriver(parts, { ...options, table, functionAt })
      for (const { follow } of units) follow()
      host.provide(IommuDriver, driver)
      host.provide(AuditSource, driver)
      if (host.get(Kernel).iommuDebugFiles) showDebugFiles(host.get(Sysfs), driver, parts.cpu)
      // Functions have their directories once the machine stands.
      host.onReady(() => showUnits(host.get(Sysfs), driver))
      host.onClose(() => {
        driver.close()
        for (const { remove } of units.toReversed()) remove()
      })
    },
  }
}

/** The ACPI table that firmware of such a machine hands to its kernel. */
export const ivrsTable = (options: AmdOptions = {}): Uint8Array => buildIvrs(ivrsOf(options))

const EFR_SUPPORTED = 1
const DEFAULT_OFFSET = 0x40
const bdfOf = ({ bdf }: AmdUnitOptions, index: number): Bdf => bdf ?? 2 + index

function ivrsOf({ units = [DEFAULT_UNIT], memory = [], info = EFR_SUPPORTED }: AmdOptions): IvrsTable {
  const blocks = units.map((unit, i): IvhdBlock => ({
    type: unit.old ? 0x10 : 0x11,
    flags: unit.flags ?? 0,
    bdf: bdfOf(unit, i),
    capabilityOffset: unit.capabilityOffset ?? DEFAULT_OFFSET,
    registers: unit.registers,
    segment: unit.segment ?? 0,
    info: 0,
    features: unit.attributes ?? 0,
    ...(!unit.old && { efr: unit.efr, efr2: unit.efr2 ?? 0n }),
    devices: unit.devices ?? [{ kind: 'all', settings: 0 }],
  }))
  return { info, units: blocks, memory }
}

/** Makes the silicon and its function, places registers, connects it to the bus. */
function addUnit(
  host: PluginHost,
  options: AmdUnitOptions,
  index: number,
  table: IvrsTable,
): { readonly follow: () => void; readonly remove: () => void } {
  const memory = host.get(Memory)
  const pci = host.get(Pci)
  const interrupts = host.get(Interrupts)
  const block = table.units[index] as IvhdBlock
  const { registers, efr, efr2 = 0n, header = DEFAULT_HEADER } = options
  const { lag = false, personality = 'specification' } = options
  const name = `ivhd${index}`
  const unit = new AmdUnit(
    { name, efr, efr2, capabilityHeader: header, covers: coverage(pci, table, block), lag, personality },
    memory,
    (address, data) => interrupts.deliver(decodeMsi({ address, data })),
    { trace: host.get(Tracer), clock: host.get(Clock) },
  )
  let fn = pci.at(block.segment, block.bdf)
  const follow = (): void => {
    if (fn) followMessage(fn, unit)
  }
  if (!fn) {
    const model = unitFunction({ offset: block.capabilityOffset, header, registers, messageWritten: follow })
    fn = pci.place(model, { segment: block.segment, bdf: block.bdf })
  }
  const remove = memory.addMmio(registers, unit.caps.registerBytes, unit.mmio, name)
  host.get(Bus).addUnit(unit)
  host.provide(IommuUnit, unit)
  host.provide(AuditSource, { name, claims: () => unit.inspect() })
  return { follow, remove }
}

/** The unit sends its own interrupts as its function's MSI capability says. */
function followMessage(fn: PciFunction, { interrupts: { msi } }: AmdUnit): void {
  const at = fn.capability(0x05)
  if (at === 0) return
  const control = fn.readConfig(at + 2, 2)
  const wide = (control & 0x80) !== 0
  msi.enabled = (control & 1) !== 0
  msi.address = join(wide ? fn.readConfig(at + 8, 4) : 0, fn.readConfig(at + 4, 4))
  msi.data = fn.readConfig(at + (wide ? 12 : 8), 2)
}

/**
 * Whether requests of an id come to a unit: firmware tells what is wired. An id that no function has, such as the one a bridge
 * puts on requests from behind it, comes to the unit of the bridge.
 */
function coverage(
  pci: { readonly functions: readonly PciFunction[] },
  table: IvrsTable,
  block: IvhdBlock,
): (segment: number, requester: Bdf) => boolean {
  const map = new SegmentMap(block.segment, blocksOf(table.units))
  return (segment, requester) => {
    if (segment !== block.segment) return false
    const bus = requester >>> 8
    const bridge = pci.functions.find((fn) => fn.segment === segment && fn.bridge?.secondary === bus)
    return (map.unitOf(requester) ?? (bridge && map.unitOf(bridge.bdf))) === block
  }
}

/**
 * A recorded machine's options: what its firmware tells, and what its units' functions read.
 * @param table of the machine
 * @param headerOf first word of the capability block of the function at a place, from this offset
 */
export function amdOptionsOf(
  table: IvrsTable,
  headerOf: (segment: number, bdf: Bdf, offset: number) => number,
): AmdOptions {
  return {
    units: blocksOf(table.units).map((block) => ({
      registers: block.registers,
      efr: block.efr ?? 0n,
      efr2: block.efr2 ?? 0n,
      header: headerOf(block.segment, block.bdf, block.capabilityOffset),
      bdf: block.bdf,
      capabilityOffset: block.capabilityOffset,
      devices: block.devices,
      segment: block.segment,
      flags: block.flags,
      old: block.type === 0x10,
      attributes: block.features,
    })),
    memory: table.memory,
    info: table.info,
  }
}
