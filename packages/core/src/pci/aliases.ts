/**
 * Which requester ids a function's requests can carry. Follows pci_for_each_dma_alias() of drivers/pci/search.c; PCI Express to
 * PCI/PCI-X Bridge Specification r1.0 "2.3 Assignment of Requester ID and Tag by the Bridge".
 */
import type { Bdf } from '../address.ts'
import { busOf } from '../address.ts'
import type { PciFunction } from './function.ts'
import { askQuirks } from './quirk.ts'

/** One id, and the function that puts it on the bus. */
export interface DmaAlias {
  readonly segment: number
  readonly bdf: Bdf
  /** The function itself, or the bridge that takes its requests over. */
  readonly by: PciFunction
}

/** The function whose id is used in place of this one's: itself, unless a quirk says otherwise (pci_real_dma_dev). */
export const realDma = (fn: PciFunction): PciFunction => askQuirks(fn, (quirk) => quirk.realDma?.(fn)) ?? fn

/** Further devfns on its own bus that a quirk gives to a function's requests, ascending, without doubles. */
export function quirkAliases(fn: PciFunction): readonly number[] {
  const devfns = (fn.quirks ?? []).flatMap((quirk) => quirk.dmaAliases?.(fn) ?? [])
  return [...new Set(devfns)].toSorted((a, b) => a - b)
}

/**
 * Every id that requests of `fn` can carry when they reach the root bus, in the order Linux meets them: its own, quirks', then
 * those of bridges from the function upwards. Doubles are left in, as there.
 */
export function dmaAliases(fn: PciFunction): readonly DmaAlias[] {
  const { segment } = fn
  const real = realDma(fn)
  const aliases: DmaAlias[] = [{ segment, bdf: real.bdf, by: real }]
  for (const devfn of quirkAliases(real)) aliases.push({ segment, bdf: (busOf(real.bdf) << 8) | devfn, by: real })
  for (let bridge = real.parent; bridge; bridge = bridge.parent) {
    const bdf = takenOverBy(bridge)
    if (bdf !== undefined) aliases.push({ segment, bdf, by: bridge })
  }
  return aliases
}

/** The id a bridge puts on requests from behind it; undefined: it leaves them as they are. */
function takenOverBy(bridge: PciFunction): Bdf | undefined {
  const { kind, secondary = 0 } = bridge.bridge ?? {}
  const secondaryId: Bdf = secondary << 8
  if (kind === 'pciToPcie') return bridge.bdf
  if (kind === 'pcieToPci')
    return askQuirks(bridge, (quirk) => quirk.bridgeKeepsIds?.(bridge)) ? undefined : secondaryId
  if (kind !== 'pciToPci') return undefined
  return askQuirks(bridge, (quirk) => quirk.hiddenExpressBridge?.(bridge)) ? secondaryId : bridge.bdf
}

/**
 * The id that requests of a function carry when they reach the IOMMU: its own, or that of the topmost bridge that takes over.
 * @param parent the bridge it stands behind; undefined: on a root bus
 */
export function requesterBehind(bdf: Bdf, parent: PciFunction | undefined): Bdf {
  let requester = bdf
  for (let bridge = parent; bridge; bridge = bridge.parent) requester = takenOverBy(bridge) ?? requester
  return requester
}
/** The id that requests of `fn` carry when they reach the IOMMU. */
export function requesterOf(fn: PciFunction): Bdf {
  const real = realDma(fn)
  return requesterBehind(real.bdf, real.parent)
}

/** Whether two functions of one bus share an id by a quirk (pci_devs_are_dma_aliases of drivers/pci/pci.c). */
export const areDmaAliases = (a: PciFunction, b: PciFunction): boolean =>
  quirkAliases(a).includes(b.bdf & 0xff) ||
  quirkAliases(b).includes(a.bdf & 0xff) ||
  realDma(a) === b ||
  realDma(b) === a
