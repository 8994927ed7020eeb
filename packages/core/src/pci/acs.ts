/**
 * Access Control Services: whether requests of a function are kept from reaching its peers without passing the IOMMU. PCI
 * Express Base Specification r6.0 "6.12 Access Control Services (ACS)"; follows pci_acs_enabled() and pci_enable_acs() of
 * drivers/pci/pci.c.
 */
import { functionOf } from '../address.ts'
import { portType } from './capability-chain.ts'
import type { PciFunction } from './function.ts'
import { ACS, EXT_CAP, HEADER, HEADER_TYPE, PORT } from './header.ts'
import { askQuirks } from './quirk.ts'

/** What Linux requires of an isolated function (REQ_ACS_FLAGS): no forged ids, no redirection, everything forwarded upstream. */
export const REQUIRED_ACS: number = ACS.SV | ACS.RR | ACS.CR | ACS.UF

/** Whether a function isolates, and why. */
export interface AcsVerdict {
  readonly isolated: boolean
  readonly why: /** A quirk vouches for it, or against it. */
    | 'quirk'
    /** Conventional PCI: everybody on the bus hears everything. */
    | 'conventional'
    /** A bridge to or from conventional PCI, or an event collector: ACS does not apply to them. */
    | 'portType'
    /** It must have the capability and has none. */
    | 'noCapability'
    /** The capability has controls that are off: `missing`. */
    | 'off'
    /** All controls that the capability has are on; what it lacks is hardwired. */
    | 'on'
    /** Alone in its slot: there is nobody to talk to. */
    | 'singleFunction'
  /** Control bits that are required, can be set and are not. */
  readonly missing: number
}

/** Its slot has further functions (the kernel's `multifunction`): the header says so, or it is not function 0 itself. Never a virtual one (pci_iov_add_virtfn). */
export const isMultifunction = (fn: PciFunction): boolean =>
  !fn.virtfn &&
  (functionOf(fn.bdf) > 0 || ((fn.config[HEADER.HEADER_TYPE] as number) & HEADER_TYPE.MULTIFUNCTION) !== 0)

/** pci_acs_enabled(): judges one function. @param flags ACS control bits; default `REQUIRED_ACS` */
export function acsOf(fn: PciFunction, flags: number = REQUIRED_ACS): AcsVerdict {
  const quirk = askQuirks(fn, (q) => q.acs?.(fn, flags))
  if (quirk !== undefined) return { isolated: quirk, why: 'quirk', missing: quirk ? 0 : flags }
  switch (portType(fn.config)) {
    case undefined:
      return { isolated: false, why: 'conventional', missing: 0 }
    case PORT.PCI_TO_PCIE:
    case PORT.PCIE_TO_PCI:
    case PORT.RC_EVENT_COLLECTOR:
      return { isolated: false, why: 'portType', missing: 0 }
    case PORT.DOWNSTREAM:
    case PORT.ROOT_PORT:
      return byCapability(fn, flags)
    case PORT.ENDPOINT:
    case PORT.UPSTREAM:
    case PORT.LEGACY_ENDPOINT:
    case PORT.RC_ENDPOINT:
      if (isMultifunction(fn)) return byCapability(fn, flags)
  }
  return { isolated: true, why: 'singleFunction', missing: 0 }
}

/** A control the capability does not have counts as hardwired on; Egress Control alone must be there. */
function byCapability(fn: PciFunction, flags: number): AcsVerdict {
  const at = fn.extendedCapability(EXT_CAP.ACS)
  if (!at) return { isolated: false, why: 'noCapability', missing: flags }
  const needed = flags & (half(fn, at + ACS.CAPABILITY) | ACS.EC)
  const missing = needed & ~half(fn, at + ACS.CONTROL)
  return missing ? { isolated: false, why: 'off', missing } : { isolated: true, why: 'on', missing: 0 }
}

/** How far up a path isolates. */
export interface AcsPath {
  readonly isolated: boolean
  /** The function that decided: the first that does not isolate, or the last one below the root bus. */
  readonly at: PciFunction
  readonly verdict: AcsVerdict
}

/** pci_acs_path_enabled() up to the root bus: every function from `start` upwards must isolate. */
export function acsPath(start: PciFunction, flags: number = REQUIRED_ACS): AcsPath {
  for (let at = start; ; at = at.parent) {
    const verdict = acsOf(at, flags)
    if (!verdict.isolated || !at.parent) return { isolated: verdict.isolated, at, verdict }
  }
}

/**
 * What the kernel does with each function when an IOMMU is present: sets SV, RR, CR and UF as far as the capability has them
 * (pci_enable_acs, pci_std_enable_acs). Translation Blocking is for functions that nobody trusts, and stays.
 */
export function enableAcs(fn: PciFunction): void {
  if (askQuirks(fn, (quirk) => quirk.enableAcs?.(fn) || undefined)) return
  const at = fn.extendedCapability(EXT_CAP.ACS)
  if (!at) return
  const control = half(fn, at + ACS.CONTROL)
  fn.writeConfig(at + ACS.CONTROL, 2, control | (half(fn, at + ACS.CAPABILITY) & REQUIRED_ACS))
}

/** From inside the function: a bus in reset hides nothing from the judgement. */
const half = (fn: PciFunction, at: number): number => (fn.config[at] as number) | ((fn.config[at + 1] as number) << 8)

const NAMES: readonly (readonly [bit: number, name: string])[] = [
  [ACS.SV, 'SV'],
  [ACS.TB, 'TB'],
  [ACS.RR, 'RR'],
  [ACS.CR, 'CR'],
  [ACS.UF, 'UF'],
  [ACS.EC, 'EC'],
  [ACS.DT, 'DT'],
]
/** `SV RR CR UF`: control bits as lspci names them. */
export const acsNames = (flags: number): string =>
  NAMES.filter(([bit]) => flags & bit)
    .map(([, name]) => name)
    .join(' ')
