/** The contract of a PCI function: what a device model is, and what the bus gives it. */
import { type Token, tokens } from '../plugin/token.ts'
import type { Bdf } from '../address.ts'
import type { DmaPort } from '../dma/port.ts'
import type { Removal } from '../driver/completion.ts'
import type { AccessSize, MmioWindow } from '../memory/backing.ts'

/** A base address register. */
export interface Bar {
  /** 0 to 5; a 64-bit BAR takes two and is named by the lower one. 6: the expansion ROM. */
  readonly index: number
  /** A power of two: at least 16 for memory, 4 for I/O, 2048 for the ROM. */
  readonly size: number
  readonly space: 'memory' | 'io' | 'rom'
  readonly wide: boolean
  readonly prefetchable: boolean
  /** What answers; absent: reads give zero, writes are lost. */
  readonly window?: MmioWindow
}

/** Addresses that displays have had since before there was PCI. They answer whatever COMMAND says. */
export interface LegacyVga {
  /** Host addresses a0000 to bffff; offsets count from a0000. */
  readonly memory: MmioWindow
  /** Ports 3b0 to 3df; offsets are port numbers. */
  readonly ports: MmioWindow
}

/**
 * A device model, before it stands anywhere: its configuration space at reset and what its registers do. `place` turns it
 * into a `PciFunction`.
 */
export interface FunctionModel {
  /** For listings, e.g. `edu`. */
  readonly name: string
  /** Configuration space as it reads at first: 256 (conventional) or 4096 bytes (PCI Express). */
  readonly config: Uint8Array
  /**
   * For each byte of `config`, the bits software can write; absent: what usual hardware with this header and these
   * capabilities has (`writeMasks`). Address bits of BARs always follow from their sizes.
   */
  readonly writable?: Uint8Array
  /** For each byte of `config`, the bits that a reset leaves as they are; absent: none. */
  readonly keptOverReset?: Uint8Array
  /** For each byte, the bits cleared by writing 1; absent: the usual ones. */
  readonly clearedByOne?: Uint8Array
  readonly bars: readonly Bar[]
  /** Legacy VGA: what a display answers beside its BARs. */
  readonly vga?: LegacyVga
  /** Its virtual functions; only with an SR-IOV capability. */
  readonly virtualFunctions?: VirtualFunctions
  /** Called once when the function joins a bus: it keeps the function to reach its DMA port and interrupts. */
  attached?(fn: PciFunction): void
  /** After software wrote [offset, offset + size) of the configuration space. */
  configWritten?(offset: number, size: number): void
  /** Function level reset, bus reset or power cycle: registers back to their start, DMA stopped. */
  reset?(): void
  /** It was taken out: stop. */
  removed?(): void
}

/**
 * The virtual functions of a physical one. How many there can be, where they stand and their device id are fields of the
 * physical function's SR-IOV capability. PCI Express Base Specification r6.0 "9. Single Root IOV".
 */
export interface VirtualFunctions {
  /** BARs of each: their sizes. All BARs n of one physical function follow one another from its VF BAR n. */
  readonly bars: readonly Omit<Bar, 'window'>[]
  /**
   * Makes the model of one: vendor and device id read ones, BARs and the interrupt pin zero, and COMMAND has no enable but
   * Bus Master ("9.3.4 PF/VF Configuration Space Header").
   */
  make(index: number): FunctionModel
}

/** What makes a function a virtual one. */
export interface VirtualPlace {
  readonly physfn: PciFunction
  /** 0 to TotalVFs - 1. */
  readonly index: number
}

/** How the kernel switches the virtual functions of a physical one on and off, and what it keeps of them (`struct pci_sriov`). */
export interface SriovSwitch {
  /** Offset of the capability. */
  readonly at: number
  readonly totalVfs: number
  readonly vfDevice: number
  /** BARs of each virtual function. */
  readonly bars: readonly Omit<Bar, 'window'>[]
  /** `sriov_drivers_autoprobe`: virtual functions are offered to drivers as they appear. */
  driversAutoprobe: boolean
  /** Virtual functions that are switched on. */
  readonly numVfs: number
  /** First VF Offset as the hardware has it now: it may follow NumVFs. */
  readonly offset: number
  readonly stride: number
  /** Those that stand on the bus, by index. */
  readonly virtfns: readonly PciFunction[]
  /** Where all BARs n of the virtual functions lie together; 0: nowhere. */
  base(bar: Omit<Bar, 'window'>): number
  /**
   * Switches `count` of them on: they appear one after the other, and drivers are tried with each.
   * @throws UapiError EINVAL when some are on, EIO, ENOMEM without addresses or bus numbers, ENODEV or ENOSYS when it depends
   * on a function that is not there or not a physical one
   */
  enable(count: number): void
  /**
   * Switches all of them off, the first one first; each waits for who uses it.
   * @param unplug takes one from its driver and off its bus
   */
  disable(unplug: (virtfn: PciFunction) => Removal): Removal
  /** Before a reset: where the BARs of the virtual functions lie. */
  remember(): void
  /** After it: puts the capability back, unless virtual functions are still on (pci_restore_iov_state). */
  restore(): void
}

/**
 * Why a function is reset: function level reset, secondary bus reset of a bridge above, leaving D3hot, power cycle.
 */
export type ResetKind = 'flr' | 'bus' | 'pm' | 'power'

/** A function on a bus. */
export interface PciFunction {
  readonly model: FunctionModel
  readonly segment: number
  readonly bdf: Bdf
  /** The bridge it stands behind; undefined: on a root bus. */
  readonly parent: PciFunction | undefined
  /** `0000:01:00.0`. */
  readonly name: string
  /** Whether it is a bridge, and which buses lie behind it. */
  readonly bridge?: BridgeInfo
  /** It is a virtual function of this one; undefined: it is not. */
  readonly virtfn?: VirtualPlace
  /** Firmware left a copy of its ROM in memory, and the kernel reads that one (IORESOURCE_ROM_SHADOW); absent: it did not. */
  readonly romShadow?: { readonly first: number; readonly bytes: number }
  /** How the kernel switches its virtual functions on; absent: it has none. */
  readonly sriov?: SriovSwitch
  /** Its way onto the bus. Follows COMMAND.BusMaster. */
  readonly dma: DmaPort
  /** The id its requests carry when they reach a unit: its own, or that of a bridge above. */
  readonly requester: Bdf
  /** Reads 1, 2 or 4 bytes, little-endian; all ones beyond the end. @param offset 0 to 4095, a multiple of `size` */
  readConfig(offset: number, size: 1 | 2 | 4): number
  /** Writes 1, 2 or 4 bytes; read-only bits stay. */
  writeConfig(offset: number, size: 1 | 2 | 4, value: number): void
  /** The bits of [offset, offset + size) that software can change. */
  writableConfig(offset: number, size: 1 | 2 | 4): number
  /** The raw configuration space, for those who stand inside the function: its model, and the audit. */
  readonly config: Uint8Array
  readonly bars: readonly Bar[]
  /** Where a BAR answers now; undefined while decoding is off or no address was given. */
  barAddress(index: number): number | undefined
  /** The address that a BAR was given, whether or not it is decoded; 0: none. That of a virtual function follows from the physical one. @throws RangeError without such a BAR */
  barRegister(index: number): number
  /** Reads an I/O BAR; all ones while COMMAND.IO is off. @param offset bytes into the BAR, a multiple of `size` */
  ioLoad(index: number, offset: number, size: AccessSize): bigint
  /** Writes an I/O BAR; lost while COMMAND.IO is off. */
  ioStore(index: number, offset: number, size: AccessSize, value: bigint): void
  /** Reads a legacy VGA port; all ones from a function that is no such display. @param port 3b0 to 3df */
  portLoad(port: number, size: AccessSize): bigint
  /** Writes a legacy VGA port. */
  portStore(port: number, size: AccessSize, value: bigint): void
  /** Offset of a capability in the first 256 bytes; 0: absent. @param id e.g. 0x05 MSI, 0x10 PCI Express */
  capability(id: number): number
  /** Offset of an extended capability; 0: absent. @param id e.g. 0x000d ACS */
  extendedCapability(id: number): number
  /** Interrupts it can raise. */
  readonly interrupts: FunctionInterrupts
  /** Its endpoint stops memory and I/O accesses (POWER): loads give all ones, stores are lost; or lets them pass again. */
  isolate(on: boolean): void
  /** Registers and model go back to their start. @param how default: function level reset */
  reset(how?: ResetKind): void
  /** D0 to D3hot, from the power management capability; anything but D0 stops decoding, DMA and interrupts. */
  readonly powerState: 0 | 1 | 2 | 3
  /**
   * Device Control, Enable No Snoop: only while this is true may the model set `dma.request.noSnoop`. False for conventional
   * functions. It is cleared from the request when software clears the bit.
   */
  readonly noSnoopEnabled: boolean
  /** Still on its bus? */
  readonly present: boolean
  /** What the host knows about such functions beyond their configuration space; absent: nothing. */
  readonly quirks?: readonly PciQuirk[]
}

/** A bridge as it was enumerated. */
export interface BridgeInfo {
  /** Secondary and subordinate bus numbers, fixed when the bridge was placed; 0: no bus behind it. */
  readonly secondary: number
  readonly subordinate: number
  /** `rootPort`, switch ports, PCIe-to-PCI, or conventional PCI-to-PCI. */
  readonly kind: 'rootPort' | 'upstream' | 'downstream' | 'pcieToPci' | 'pciToPcie' | 'pciToPci'
}

/** How a function signals: it honours the capability's enable and mask bits and BusMaster. */
export interface FunctionInterrupts {
  /** Where the platform wants this function's messages. */
  readonly messageAddress: bigint
  /**
   * Raises MSI or MSI-X vector `n`, from 0 on, whichever is enabled; a masked one is kept pending.
   * @returns false when neither is enabled
   * @throws Error when the MSI-X table has no such vector: a mistake of the device's model
   */
  raise(n: number): boolean
  /** INTx level; COMMAND.InterruptDisable hides it. */
  setIntx(asserted: boolean): void
  readonly intxAsserted: boolean
}

/**
 * How a host's author tells about hardware that does not behave as its configuration space says (drivers/pci/quirks.c). Each
 * member answers undefined for functions it does not know.
 */
export interface PciQuirk {
  /** For listings and for the reasons of a group, e.g. `Marvell 88SE9123 uses function 1`. */
  readonly name: string
  /** Further devfns (device << 3 | function, same bus) its requests carry, whether a function stands there or not. */
  dmaAliases?(fn: PciFunction): readonly number[] | undefined
  /** The function whose requester id it really uses, possibly on another bus (pci_real_dma_dev). */
  realDma?(fn: PciFunction): PciFunction | undefined
  /** Whether it isolates as the ACS bits `flags` would, whatever its capability says. */
  acs?(fn: PciFunction, flags: number): boolean | undefined
  /** Switches isolation on by other means than the ACS capability. @returns true when done: the capability is left alone */
  enableAcs?(fn: PciFunction): boolean | undefined
  /** A bridge that does not take requests over from the functions behind it (PCI_DEV_FLAGS_PCI_BRIDGE_NO_ALIAS). */
  bridgeKeepsIds?(fn: PciFunction): boolean | undefined
  /** A PCIe-to-PCI bridge without a PCI Express capability (PCI_DEV_FLAG_PCIE_BRIDGE_ALIAS). */
  hiddenExpressBridge?(fn: PciFunction): boolean | undefined
}
/** The quirks of this host. */
export const PciQuirk: Token<PciQuirk> = tokens('PciQuirk')
