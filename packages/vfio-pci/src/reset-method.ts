/**
 * How one function can be reset without touching others. drivers/pci/pci.c pci_reset_fn_methods: function level reset,
 * the conventional one, power management, then the bus if nobody else is on it. Device-specific and ACPI methods are not modelled.
 */
import { AF, BRIDGE, BRIDGE_CONTROL, CAP, EXPRESS, PM, type PciFunction, type PciTopology } from '@ioasis/core'
import { dword, word } from './config/words.ts'

/** The method that is tried first and works. */
export type ResetMethod = 'flr' | 'af_flr' | 'pm' | 'bus'

/** @returns undefined when the function cannot be reset alone */
export function resetMethodOf(fn: PciFunction, pci: PciTopology): ResetMethod | undefined {
  const express = fn.capability(CAP.EXPRESS)
  if (express && dword(fn.config, express + EXPRESS.DEVCAP) & EXPRESS.DEVCAP_FLR) return 'flr'
  const af = fn.capability(CAP.AF)
  const both = AF.CAP_FLR | 0x1
  if (af && ((fn.config[af + AF.CAPABILITIES] as number) & both) === both) return 'af_flr'
  const pm = fn.capability(CAP.PM)
  if (pm && !(word(fn.config, pm + PM.CONTROL) & PM.NO_SOFT_RESET)) return 'pm'
  const bridge = fn.parent
  if (bridge && !fn.bridge && pci.children(bridge).length === 1) return 'bus'
  return undefined
}

/** Resets the function. Its registers are at their start afterwards; the caller kept what it wants back. */
export function runReset(fn: PciFunction, method: ResetMethod): void {
  switch (method) {
    case 'flr': {
      const at = fn.capability(CAP.EXPRESS) + EXPRESS.DEVCTL
      return fn.writeConfig(at, 2, fn.readConfig(at, 2) | EXPRESS.DEVCTL_FLR)
    }
    case 'af_flr':
      return fn.writeConfig(fn.capability(CAP.AF) + AF.CONTROL, 1, AF.FLR)
    case 'pm': {
      const at = fn.capability(CAP.PM) + PM.CONTROL
      const control = fn.readConfig(at, 2) & ~PM.STATE
      fn.writeConfig(at, 2, control | 3)
      return fn.writeConfig(at, 2, control)
    }
    case 'bus':
      return resetBus(fn.parent as PciFunction)
  }
}

/** pci_reset_secondary_bus(): everything behind the bridge. */
export function resetBus(bridge: PciFunction): void {
  const control = bridge.readConfig(BRIDGE.CONTROL, 2)
  bridge.writeConfig(BRIDGE.CONTROL, 2, control | BRIDGE_CONTROL.BUS_RESET)
  bridge.writeConfig(BRIDGE.CONTROL, 2, control & ~BRIDGE_CONTROL.BUS_RESET)
}
