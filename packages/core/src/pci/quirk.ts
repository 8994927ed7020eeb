/** How a host's author tells about hardware that does not behave as its configuration space says (drivers/pci/quirks.c). */
import { type Token, tokens } from '../plugin/token.ts'
import type { PciFunction } from './function.ts'

/** Knowledge about some functions. Each member answers undefined for functions it does not know. */
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

/** The first answer that is not undefined. */
export function askQuirks<T>(fn: PciFunction, ask: (quirk: PciQuirk) => T | undefined): T | undefined {
  for (const quirk of fn.quirks ?? []) {
    const answer = ask(quirk)
    if (answer !== undefined) return answer
  }
  return undefined
}
