/**
 * Which unit a function belongs to. Firmware names functions, and bridges that stand for all behind them; a unit may also take
 * whatever no other one names. drivers/iommu/intel/iommu.c device_lookup_iommu, drivers/iommu/intel/dmar.c dmar_match_pci_path.
 */
import { type Bdf, busOf, deviceOf, functionOf, type PciFunction } from '@ioasis/core'
import type { DeviceScope } from '../spec/dmar-table.ts'

/** A function or bridge by its id, or by the path firmware gives. */
export type ScopeEntry = Bdf | DeviceScope
/** What a unit covers: everything left over, or what is listed. */
export type Scope = 'all' | readonly ScopeEntry[]

/** A part of the machine that covers functions of one segment. */
export interface Scoped {
  readonly segment: number
  readonly scope: Scope
}

/** A function's id, then those of the bridges above it, up to the root bus. */
type Chain = readonly Bdf[]

/** Virtual functions are not in firmware's lists: their physical one stands for them. */
function chainOf(fn: PciFunction | undefined): Bdf[] {
  const chain: Bdf[] = []
  for (let f = fn?.virtfn?.physfn ?? fn; f; f = f.parent) chain.push(f.bdf)
  return chain
}

const sits = (id: Bdf | undefined, at: DeviceScope['path'][number]): boolean =>
  id !== undefined && deviceOf(id) === at.device && functionOf(id) === at.function

/** Whether the entry is the first of the chain. */
function isEntry(entry: ScopeEntry, chain: Chain): boolean {
  const [id] = chain
  if (id === undefined) return false
  if (typeof entry === 'number') return entry === id
  const [step] = entry.path
  // A single step also names a function behind bridges by its own bus: firmware does that, and Linux lets it.
  if (entry.path.length === 1 && step && busOf(id) === entry.bus && sits(id, step)) return true
  if (chain.length !== entry.path.length || busOf(chain.at(-1) as Bdf) !== entry.bus) return false
  return entry.path.every((s, i) => sits(chain.at(-1 - i), s))
}

const listsChain = (entries: readonly ScopeEntry[], chain: Chain): boolean =>
  chain.some((_, i) => entries.some((entry) => isEntry(entry, chain.slice(i))))

function covering<T extends Scoped>(units: readonly T[], segment: number, chain: Chain): T | undefined {
  const here = units.filter((u) => u.segment === segment)
  return here.find((u) => u.scope !== 'all' && listsChain(u.scope, chain)) ?? here.find((u) => u.scope === 'all')
}

/** Whether the list names the function or a bridge above it. */
export const lists = (entries: readonly ScopeEntry[], fn: PciFunction): boolean => listsChain(entries, chainOf(fn))

/** The one that covers a function: who lists it, before who takes all of its segment. */
export const coveredBy = <T extends Scoped>(units: readonly T[], fn: PciFunction): T | undefined =>
  covering(units, fn.segment, chainOf(fn))

/**
 * The one that covers a requester id. An id that no function has (yet), such as the one a bridge puts on requests from
 * behind it, stands behind the bridge that leads to its bus.
 * @param functions of the machine
 */
export function coveredById<T extends Scoped>(
  units: readonly T[],
  segment: number,
  requester: Bdf,
  functions: readonly PciFunction[],
): T | undefined {
  const virtual = functions.find((fn) => fn.virtfn && fn.segment === segment && fn.bdf === requester)
  if (virtual) return covering(units, segment, chainOf(virtual))
  const bus = busOf(requester)
  const bridge = functions.find((fn) => fn.segment === segment && fn.bridge?.secondary === bus)
  return covering(units, segment, [requester, ...chainOf(bridge)])
}
