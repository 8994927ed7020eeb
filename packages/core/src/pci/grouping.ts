/**
 * Which IOMMU group a function belongs to, and why. Follows pci_device_group() of drivers/iommu/iommu.c step by step: aliases
 * upstream, ACS on the path upstream, aliases on the same bus, functions of the same slot.
 */
import { type Bdf, busOf, deviceOf, formatBdf } from '../address.ts'
import { acsNames, acsOf, acsPath, type AcsPath, type AcsVerdict, isMultifunction, REQUIRED_ACS } from './acs.ts'
import { areDmaAliases, dmaAliases } from './aliases.ts'
import type { PciFunction } from './function.ts'

/** The part of a topology that grouping reads. */
export interface GroupingTopology {
  /** Every function, in bus order. */
  readonly functions: readonly PciFunction[]
}

/** One step that joined functions or kept them apart. `about` is the other function or bridge; `joined`: its group was taken. */
export type GroupReason =
  /** Its requests reach the IOMMU under another id: they cannot be told apart there. */
  | { readonly kind: 'alias'; readonly about: PciFunction; readonly requester: Bdf; readonly joined: boolean }
  /** Below this bridge peers can reach each other; the bridge's group takes them all. `path` says where isolation ends. */
  | { readonly kind: 'notIsolated'; readonly about: PciFunction; readonly path: AcsPath; readonly joined: boolean }
  /** This bridge and all above it send everything upstream. */
  | { readonly kind: 'isolatedPath'; readonly about: PciFunction; readonly joined: false }
  /** It stands on a root bus: no bridge to ask. */
  | { readonly kind: 'rootBus'; readonly about: PciFunction; readonly joined: false }
  /** A quirk: `of` (the function, or a bridge that stands for it) and `about` use one requester id. */
  | { readonly kind: 'quirkAlias'; readonly of: PciFunction; readonly about: PciFunction; readonly joined: boolean }
  /** `of` and `about` share a slot and are not kept apart; `verdict` is about `of`. */
  | {
      readonly kind: 'sameSlot'
      readonly of: PciFunction
      readonly about: PciFunction
      readonly verdict: AcsVerdict
      readonly joined: boolean
    }
  /** The IOMMU driver sorts functions itself: an endpoint of a POWER host bridge. */
  | { readonly kind: 'endpoint'; readonly about: PciFunction; readonly name: string; readonly joined: boolean }
  /** Its slot has several functions, and its ACS keeps it apart from them. */
  | {
      readonly kind: 'isolatedFunction'
      readonly about: PciFunction
      readonly verdict: AcsVerdict
      readonly joined: false
    }

/** A function's place. */
export interface Grouping {
  /** The function whose group it joins; undefined: it starts a new one. */
  readonly join: PciFunction | undefined
  /** The steps, in the order taken. The last one with `joined` decided. */
  readonly reasons: readonly GroupReason[]
}

/**
 * Decides for one function that has no group yet.
 * @param hasGroup whether a function is in a group already
 */
export function groupingOf(
  fn: PciFunction,
  topology: GroupingTopology,
  hasGroup: (fn: PciFunction) => boolean,
): Grouping {
  const reasons: GroupReason[] = []
  const search = new Search(topology, hasGroup, reasons)
  const top = search.upstreamAliases(fn)
  if (top.join) return { join: top.join, reasons }
  const isolated = search.upstreamIsolation(top.last)
  const join = isolated.join ?? search.byAlias(isolated.last) ?? search.bySlot(isolated.last)
  return { join, reasons }
}

interface Step {
  readonly join?: PciFunction
  readonly last: PciFunction
}

/** One search; `tried` holds the devfns met, so that functions aliasing each other end it. */
class Search {
  readonly #topology: GroupingTopology
  readonly #hasGroup: (fn: PciFunction) => boolean
  readonly #reasons: GroupReason[]
  readonly #tried = new Set<number>()

  constructor(topology: GroupingTopology, hasGroup: (fn: PciFunction) => boolean, reasons: GroupReason[]) {
    this.#topology = topology
    this.#hasGroup = hasGroup
    this.#reasons = reasons
  }

  /** Up to the last bridge that takes requests over, or the first alias that has a group. */
  upstreamAliases(fn: PciFunction): Step {
    let last = fn
    for (const { bdf, by } of dmaAliases(fn)) {
      last = by
      const joined = this.#hasGroup(by)
      if (by !== fn) this.#reasons.push({ kind: 'alias', about: by, requester: bdf, joined })
      if (joined) return { join: by, last }
    }
    return { last }
  }

  /** Up to where ACS protects from peers. */
  upstreamIsolation(fn: PciFunction): Step {
    let last = fn
    for (let bridge = fn.parent; bridge; bridge = bridge.parent) {
      const path = acsPath(bridge)
      if (path.isolated) {
        this.#reasons.push({ kind: 'isolatedPath', about: bridge, joined: false })
        return { last }
      }
      last = bridge
      const joined = this.#hasGroup(bridge)
      this.#reasons.push({ kind: 'notIsolated', about: bridge, path, joined })
      if (joined) return { join: bridge, last }
    }
    this.#reasons.push({ kind: 'rootBus', about: last, joined: false })
    return { last }
  }

  /** get_pci_alias_group(). */
  byAlias(fn: PciFunction): PciFunction | undefined {
    const devfn = fn.bdf & 0xff
    if (this.#tried.has(devfn)) return undefined
    this.#tried.add(devfn)
    if (this.#hasGroup(fn)) return fn
    for (const other of this.#onBusOf(fn)) {
      if (!areDmaAliases(fn, other)) continue
      const join = this.byAlias(other) ?? this.bySlot(other)
      this.#reasons.push({ kind: 'quirkAlias', of: fn, about: other, joined: join !== undefined })
      if (join) return join
    }
    return undefined
  }

  /** get_pci_function_alias_group(). */
  bySlot(fn: PciFunction): PciFunction | undefined {
    if (!isMultifunction(fn)) return undefined
    const verdict = acsOf(fn)
    if (verdict.isolated) {
      this.#reasons.push({ kind: 'isolatedFunction', about: fn, verdict, joined: false })
      return undefined
    }
    for (const other of this.#onBusOf(fn)) {
      if (deviceOf(other.bdf) !== deviceOf(fn.bdf) || acsOf(other).isolated) continue
      const join = this.byAlias(other)
      this.#reasons.push({ kind: 'sameSlot', of: fn, about: other, verdict, joined: join !== undefined })
      if (join) return join
    }
    return undefined
  }

  #onBusOf(fn: PciFunction): PciFunction[] {
    const bus = busOf(fn.bdf)
    return this.#topology.functions.filter(
      (other) => other !== fn && other.segment === fn.segment && busOf(other.bdf) === bus,
    )
  }
}

type Texts = { readonly [K in GroupReason['kind']]: (reason: Extract<GroupReason, { kind: K }>) => string }

const TEXTS: Texts = {
  alias: ({ about, requester, joined }) =>
    `its requests reach the IOMMU as ${formatBdf(requester)}, the id of ${about.name}${joined ? ', whose group it joins' : ''}`,
  notIsolated: ({ about, path, joined }) =>
    `peers behind ${about.name} are not kept apart: ${verdictText(path.at, path.verdict)}${joins(about, joined)}`,
  isolatedPath: ({ about }) =>
    `${about.name} and all above it send everything upstream (ACS ${acsNames(REQUIRED_ACS)} as far as they have them)`,
  endpoint: ({ name, joined }) =>
    `its host bridge counts it to endpoint ${name}${joined ? ', whose group it joins' : ''}`,
  rootBus: ({ about }) => `${about.name} stands on a root bus`,
  quirkAlias: ({ of, about, joined }) =>
    `${of.name} shares a requester id with ${about.name} (quirk)${joins(about, joined)}`,
  sameSlot: ({ of, about, verdict, joined }) =>
    `${of.name} shares a slot with ${about.name}, and they are not kept apart: ${verdictText(of, verdict)}${joins(about, joined)}`,
  isolatedFunction: ({ about, verdict }) => `its slot has several functions, and ${verdictText(about, verdict)}`,
}

const joins = (about: PciFunction, joined: boolean): string => (joined ? `; it joins the group of ${about.name}` : '')

/** A reason as a sentence about the function that was sorted, for listings. */
export const groupReasonText = (reason: GroupReason): string =>
  (TEXTS[reason.kind] as (reason: GroupReason) => string)(reason)

/** Why a function isolates or does not. */
function verdictText({ name }: PciFunction, { why, isolated, missing }: AcsVerdict): string {
  const text: Readonly<Record<AcsVerdict['why'], string>> = {
    quirk: `a quirk says that ${name} ${isolated ? 'isolates' : 'does not isolate'}`,
    conventional: `${name} is conventional PCI`,
    portType: `${name} is of a kind that ACS does not apply to`,
    noCapability: `${name} has no ACS capability`,
    off: `${name} has ACS ${acsNames(missing)} switched off`,
    on: `${name} has its ACS switched on`,
    singleFunction: `${name} is alone in its slot`,
  }
  return text[why]
}
