/** Turns a described machine into plug-ins: its functions on their buses, and the IOMMU that its tables and registers tell of. */
import {
  busOf,
  Clock,
  CompositionError,
  findCapability,
  type FunctionModel,
  hex,
  type HostMemory,
  isBridge,
  type MachineOptions,
  Memory,
  MSI_WINDOW,
  Pci,
  type PciFunction,
  type PciTopology,
  type Plugin,
  type ReservedRegion,
  type VirtualFunctions,
} from '@ioasis/core'
import {
  Edu,
  optionRom,
  PciTestdev,
  qemuScratch,
  qemuWritable,
  RecordedFunction,
  type RecordedRegister,
  StandardVga,
  virtualConfig,
  type VirtualConfig,
} from '@ioasis/devices'
import { amdIommu, amdOptionsOf, parseIvrs } from '@ioasis/iommu-amd'
import { intelIommu, intelOptionsOf, type IntelUnitOptions, parseDmar } from '@ioasis/iommu-intel'
import {
  busesBehind,
  type DescribedFunction,
  type DescribedIommu,
  keyOf,
  leadsToBus,
  type MachineDescription,
  nameOfFunction,
} from './machine-description.ts'
import { topologyOnlyIommu } from './topology-only.ts'

const STANDARD_VGA = '1234:1111'
/** What PC firmware writes first on the boot display, SeaBIOS src/bootsplash.c enable_vga_console; the rest of the screen was not recorded. */
const BOOT_TEXT = 'SeaBIOS (version 1.17.0-debian-1.17.0-1)'

/** What a description leaves open. */
export interface RecordedOptions {
  /** `iommu=pt`. Default: as the recorded groups say. */
  readonly identityDefault?: boolean
  /** Bits of an address on the bus; default: as the DMAR table says, 48 without one. */
  readonly addressWidth?: number
  /**
   * Whether IOMMUs and recorded functions follow the specification (functions: usual hardware) or QEMU where they differ;
   * default `specification`.
   */
  readonly personality?: 'specification' | 'qemu'
  /** Models in place of recorded configuration spaces, by `0000:01:00.0`; undefined: as recorded. */
  readonly model?: (name: string, fn: DescribedFunction) => FunctionModel | undefined
}

const u16 = (config: Uint8Array, at: number): number => (config[at] as number) | ((config[at + 1] as number) << 8)
const idOf = ({ config }: DescribedFunction): string =>
  `${u16(config, 0).toString(16).padStart(4, '0')}:${u16(config, 2).toString(16).padStart(4, '0')}`

const INTEL_82574L = '8086:10d3'

/** Registers of the e1000e that the recordings show. */
const register = (offset: number, ...bytes: number[]): RecordedRegister => ({
  bar: 0,
  offset,
  bytes: Uint8Array.from(bytes),
  whole: true,
})
const KNOWN_REGISTERS: Readonly<Record<string, readonly RecordedRegister[]>> = {
  [INTEL_82574L]: [register(0x0008, 0x83, 0x02, 0x08, 0x00), register(0x1000, 0x14, 0x00, 0x14, 0x00)],
}
/** How the ROM that the recordings show begins: 213 units of 512 bytes, a jump, a checksum. */
const ROM_HEADS: Readonly<Record<string, readonly number[]>> = {
  [INTEL_82574L]: [0x55, 0xaa, 0xd5, 0xe9, 0xa2, 0x00, 0xaa, 0x00],
}

/**
 * The model of a function: the real one where this package knows the device, else its recorded configuration space.
 * @param personality `qemu`: bits can be written as in QEMU's devices, and a ROM has an image
 */
export function recordedModel(
  fn: DescribedFunction,
  clock: Clock,
  personality: 'specification' | 'qemu' = 'specification',
): FunctionModel {
  const id = idOf(fn)
  if (id === '1234:11e8') return new Edu(clock, { config: fn.config })
  if (id === '1b36:0005') return new PciTestdev({ config: fn.config })
  // a host bridge may show 4096 bytes without being PCI Express; what lies above 256 is then no capability list
  const config = findCapability(fn.config, 0x10) ? fn.config : fn.config.slice(0, 256)
  const qemu = personality === 'qemu'
  const shown = new RecordedFunction({
    name: `${isBridge(fn.config) ? 'bridge ' : ''}${id}`,
    config,
    ...(qemu ? { writable: qemuWritable(config, fn.bars), kept: qemuScratch(config) } : {}),
    bars: fn.bars,
    ...(fn.vfBars.length > 0 ? { virtualFunctions: virtualFunctionsOf(fn, qemu) } : {}),
    registers: [...(KNOWN_REGISTERS[id] ?? []), ...(qemu ? romOf(fn) : [])],
  })
  return id === STANDARD_VGA ? new StandardVga(shown, { bootText: BOOT_TEXT }) : shown
}

const INTEL_82576 = '8086:10c9'
/** What the virtual functions of a physical one have: QEMU 11.1 hw/net/igbvf.c igbvf_pci_realize. Of others only the PCI Express capability is known. */
const VIRTUAL: Readonly<Record<string, VirtualConfig>> = {
  [INTEL_82576]: {
    msix: { at: 0x70, entries: 3, table: { bar: 3, offset: 0 }, pending: { bar: 3, offset: 0x2000 } },
  },
}

function virtualFunctionsOf(fn: DescribedFunction, qemu: boolean): VirtualFunctions {
  const name = `virtual function of ${idOf(fn)}`
  const config = virtualConfig(fn.config, VIRTUAL[idOf(fn)])
  const bars = fn.vfBars
  const masks = qemu ? { writable: qemuWritable(config, []), kept: qemuScratch(config) } : {}
  return { bars, make: () => new RecordedFunction({ name, config, bars, ...masks }) }
}

/**
 * QEMU gives a function a ROM BAR only for a ROM file, and puts the function's ids into it (hw/pci/pci.c pci_add_option_rom,
 * pci_patch_ids). What else the file holds was not recorded.
 */
function romOf(fn: DescribedFunction): readonly RecordedRegister[] {
  const rom = fn.bars.find((bar) => bar.space === 'rom')
  if (!rom) return []
  const head = ROM_HEADS[idOf(fn)]
  const classCode = u16(fn.config, 0x09) | ((fn.config[0x0b] as number) << 16)
  const bytes = optionRom({
    vendor: u16(fn.config, 0),
    device: u16(fn.config, 2),
    classCode,
    ...(head ? { head } : {}),
  })
  return [{ bar: rom.index, offset: 0, bytes }]
}

/**
 * The plug-ins of a described machine.
 * @throws CompositionError for tables that do not parse
 */
export function recordedPlugins(description: MachineDescription, options: RecordedOptions = {}): readonly Plugin[] {
  const iommu = iommuPlugin(description, options)
  return [functionsPlugin(description, options), ...(iommu ? [iommu] : [])]
}

/** Memory of a described machine; absent where the description does not tell. */
export const recordedMemory = ({ ram }: MachineDescription): MachineOptions => (ram.length > 0 ? { ram } : {})

function functionsPlugin(description: MachineDescription, options: RecordedOptions): Plugin {
  return {
    name: `machine ${description.name}`,
    contract: 1,
    needs: [Pci, Clock, Memory],
    setup: (host) => {
      const pci = host.get(Pci)
      const clock = host.get(Clock)
      for (const { segment, bus } of rootBuses(description)) pci.addRootBus(segment, bus)
      if (options.personality === 'qemu') placeVideoRom(host.get(Memory), description)
      for (const fn of description.functions.toSorted(bridgesFirst(description))) {
        const model = options.model?.(nameOfFunction(fn), fn) ?? recordedModel(fn, clock, options.personality)
        placeOne(pci, model, fn, description.name)
      }
    },
  }
}

/** Where PC firmware copies the boot display's ROM to: memory that a kernel does not use. */
const VIDEO_ROM = { first: 0xc_0000, bytes: 0x2_0000 } as const

function placeVideoRom(memory: HostMemory, { functions }: MachineDescription): void {
  const display = functions.find(({ config }) => u16(config, 0x0a) === 0x0300 && ((config[0x04] as number) & 3) !== 0)
  if (!display) return
  const image = optionRom({ vendor: u16(display.config, 0), device: u16(display.config, 2), classCode: 0x030000 })
  const load = (offset: number, size: number): bigint => {
    let value = 0n
    for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(image[offset + i] ?? 0)
    return value
  }
  memory.addMmio(VIDEO_ROM.first, VIDEO_ROM.bytes, { load, store: () => undefined }, 'video ROM')
}

function placeOne(pci: PciTopology, model: FunctionModel, fn: DescribedFunction, source: string): void {
  try {
    pci.place(model, fn)
  } catch (error) {
    if (error instanceof CompositionError) throw new CompositionError(`${source}: ${error.message}`)
    throw error
  }
}

/** Buses that no bridge leads to. */
function rootBuses({ functions }: MachineDescription): { segment: number; bus: number }[] {
  const behind = new Set(functions.filter(leadsToBus).map((f) => f.segment * 256 + busesBehind(f.config).secondary))
  const buses = new Set(functions.map((f) => f.segment * 256 + busOf(f.bdf)))
  return [...buses].filter((b) => !behind.has(b)).map((b) => ({ segment: Math.floor(b / 256), bus: b % 256 }))
}

/** By depth, then in bus order: a bridge stands before what lies behind it, whatever its bus number. */
function bridgesFirst({ functions }: MachineDescription): (a: DescribedFunction, b: DescribedFunction) => number {
  const above = new Map(functions.filter(leadsToBus).map((f) => [f.segment * 256 + busesBehind(f.config).secondary, f]))
  const depth = (fn: DescribedFunction): number => {
    let n = 0
    for (let f = above.get(fn.segment * 256 + busOf(fn.bdf)); f && n < 256; n++)
      f = above.get(f.segment * 256 + busOf(f.bdf))
    return n
  }
  return (a, b) => depth(a) - depth(b) || keyOf(a) - keyOf(b)
}

const SCALABLE_MODE = 1n << 43n

/** What an IOMMU plug-in can do for the machine: translate, or groups only, or nothing where there is none. */
function iommuPlugin(description: MachineDescription, options: RecordedOptions): Plugin | undefined {
  const { iommu, groups } = description
  const identityDefault = options.identityDefault ?? groups?.[0]?.type === 'identity'
  if (!iommu) return undefined
  if (iommu.kind === 'intel' && (iommu.ecap & SCALABLE_MODE) === 0n)
    return vtd(description, iommu, identityDefault, options)
  if (iommu.kind === 'amd') return amdVi(description, identityDefault, options)
  return topologyOnlyIommu({
    name: 'iommu-intel scalable mode (topology only)',
    covers: (fn) => !isIommuFunction(fn),
    defaultType: identityDefault ? 'identity' : 'DMA-FQ',
    reserved: [INTERRUPT_WINDOW],
    caps: { enforcesCoherency: (iommu.ecap & 0x80n) !== 0n },
  })
}

/** Base class 08, subclass 06: an IOMMU's own function is in no group. */
const isIommuFunction = (fn: PciFunction): boolean => fn.readConfig(0x0a, 2) === 0x0806

const INTERRUPT_WINDOW: ReservedRegion = {
  first: BigInt(MSI_WINDOW.first),
  last: BigInt(MSI_WINDOW.last),
  type: 'msi',
  read: false,
  write: false,
}

/** Units as the IVRS table places them; their functions tell the rest. */
function amdVi(
  { name, acpi, functions }: MachineDescription,
  identityDefault: boolean,
  { personality = 'specification' }: RecordedOptions,
): Plugin {
  const table = acpi['IVRS']
  if (!table) throw new CompositionError(`${name}: there is no IVRS table to tell where the AMD-Vi units are`)
  const headerOf = (segment: number, bdf: number, offset: number): number => {
    const fn = functions.find((one) => one.segment === segment && one.bdf === bdf)
    if (!fn) throw new CompositionError(`${name}: no function stands where IVRS says that a unit is`)
    return u16(fn.config, offset) | (u16(fn.config, offset + 2) << 16)
  }
  const { units = [], ...rest } = amdOptionsOf(parsed(name, table, parseIvrs), headerOf)
  return amdIommu({ ...rest, identityDefault, units: units.map((unit) => Object.assign({}, unit, { personality })) })
}

/** Units as the DMAR table places them, all with the recorded capability registers. */
function vtd(
  { name, acpi }: MachineDescription,
  { cap, ecap, registers }: DescribedIommu & { kind: 'intel' },
  identityDefault: boolean,
  { addressWidth, personality = 'specification' }: RecordedOptions,
): Plugin {
  const table = acpi['DMAR']
  const { units = [], ...rest } = table
    ? intelOptionsOf(parsed(name, table, parseDmar), () => ({ cap, ecap }))
    : { units: [{ registers, cap, ecap }] }
  const haw = addressWidth === undefined ? {} : { haw: addressWidth }
  const adapt = (unit: IntelUnitOptions): IntelUnitOptions => ({ ...unit, ...haw, personality })
  return intelIommu({ ...rest, identityDefault, units: units.map(adapt) })
}

function parsed<T>(source: string, table: Uint8Array, parse: (table: Uint8Array) => T): T {
  try {
    return parse(table)
  } catch (error) {
    throw new CompositionError(`${source}: ACPI table of ${hex(table.length)} bytes: ${(error as Error).message}`)
  }
}
