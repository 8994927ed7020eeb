/**
 * How the kernel resets one function without touching others, and the `reset_method` of sysfs. drivers/pci/pci.c
 * pci_init_reset_methods, __pci_reset_function_locked, pci_reset_function. Device-specific, ACPI and CXL methods are not modelled.
 */
import { type Errno, UapiError } from '../errno.ts'
import { dword, word } from './capability-chain.ts'
import type { PciFunction } from './function.ts'
import { AF, BRIDGE, BRIDGE_CONTROL, CAP, COMMAND, EXPRESS, HEADER, PM } from './header.ts'
import { restoreState, saveState } from './saved-state.ts'

/** Function level reset, the conventional one, power management, the bus if nobody else is on it. */
export type ResetMethod = 'flr' | 'af_flr' | 'pm' | 'bus'

/** In the order they are tried. */
const METHODS: readonly ResetMethod[] = ['flr', 'af_flr', 'pm', 'bus']

/** Whether a function's registers offer a method. */
const HAS: Readonly<Record<Exclude<ResetMethod, 'bus'>, (fn: PciFunction) => boolean>> = {
  flr: (fn) => {
    const at = fn.capability(CAP.EXPRESS)
    return at !== 0 && (dword(fn.config, at + EXPRESS.DEVCAP) & EXPRESS.DEVCAP_FLR) !== 0
  },
  af_flr: (fn) => {
    const at = fn.capability(CAP.AF)
    const both = AF.CAP_FLR | AF.CAP_PENDING
    return at !== 0 && ((fn.config[at + AF.CAPABILITIES] as number) & both) === both
  },
  pm: (fn) => {
    const at = fn.capability(CAP.PM)
    return at !== 0 && (word(fn.config, at + PM.CONTROL) & PM.NO_SOFT_RESET) === 0
  },
}

/** The methods of each function of one host. */
export class FunctionResets {
  readonly #children: (fn: PciFunction) => readonly PciFunction[]
  readonly #methods = new WeakMap<PciFunction, readonly ResetMethod[]>()

  /** @param children functions directly behind a bridge */
  constructor(children: (fn: PciFunction) => readonly PciFunction[]) {
    this.#children = children
  }

  /** A function appears: what it can is noted. Those of its bus that come later do not take `bus` away from it. */
  probe(fn: PciFunction): void {
    this.#methods.set(
      fn,
      METHODS.filter((method) => this.#supports(fn, method, true)),
    )
  }
  /** Those that would be tried, in this order. */
  of(fn: PciFunction): readonly ResetMethod[] {
    return this.#methods.get(fn) ?? []
  }
  /**
   * Writes `reset_method`: names apart by blanks, `default`, or nothing for none.
   * @throws UapiError EINVAL for a method that is unknown or that the function does not have
   */
  set(fn: PciFunction, text: string): void {
    const line = text.replace(/\n$/, '')
    if (line === '') {
      this.#methods.set(fn, [])
      return
    }
    if (line === 'default') {
      this.#methods.set(
        fn,
        METHODS.filter((method) => this.#supports(fn, method, false)),
      )
      return
    }
    const names = line.split(' ').map((name) => name.trim())
    const wanted = names.filter((name) => name !== '').map((name) => this.#named(fn, name))
    this.#methods.set(fn, wanted)
  }

  /**
   * __pci_reset_function_locked(): resets with the first method that is there. Its registers are at their start afterwards; the
   * caller kept what it wants back.
   * @returns undefined when done; ENOTTY without a method, EINVAL when it sleeps and only waking would reset it
   */
  run(fn: PciFunction): Errno | undefined {
    for (const method of this.of(fn)) {
      if (!this.#supports(fn, method, false)) continue
      if (method === 'pm' && fn.powerState !== 0) return 'EINVAL'
      runReset(fn, method)
      return undefined
    }
    return 'ENOTTY'
  }
  /** pci_reset_function(): resets it and puts back what the kernel keeps. @returns as `run` */
  reset(fn: PciFunction): Errno | undefined {
    if (this.of(fn).length === 0) return 'ENOTTY'
    wake(fn)
    const saved = saveState(fn)
    fn.writeConfig(HEADER.COMMAND, 2, COMMAND.INTX_DISABLE)
    const failed = this.run(fn)
    restoreState(fn, saved)
    return failed
  }

  #named(fn: PciFunction, name: string): ResetMethod {
    const method = METHODS.find((one) => one === name)
    if (method && this.#supports(fn, method, false)) return method
    throw new UapiError('EINVAL', 'reset_method', { function: fn.name, name })
  }
  #supports(fn: PciFunction, method: ResetMethod, appearing: boolean): boolean {
    return method === 'bus' ? this.#aloneOnBus(fn, appearing) : HAS[method](fn)
  }
  /** A bridge has no bus behind it yet when it appears. */
  #aloneOnBus(fn: PciFunction, appearing: boolean): boolean {
    if (!fn.parent || (!appearing && fn.bridge !== undefined && fn.bridge.secondary !== 0)) return false
    return this.#children(fn.parent).every((other) => other === fn)
  }
}

function runReset(fn: PciFunction, method: ResetMethod): void {
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

function wake(fn: PciFunction): void {
  const pm = fn.capability(CAP.PM)
  if (pm && fn.powerState !== 0) fn.writeConfig(pm + PM.CONTROL, 2, fn.readConfig(pm + PM.CONTROL, 2) & ~PM.STATE)
}
