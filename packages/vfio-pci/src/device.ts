/** A function that vfio-pci has: offered to VFIO, asleep until somebody opens it. drivers/vfio/pci/vfio_pci_core.c vfio_pci_core_register_device. */
import type { Caller, PciFunction, VfioConnection, VfioDriver, VfioSession } from '@ioasis/core'
import type { VfioDevice } from '@ioasis/vfio'
import type { Resource } from './config/owner.ts'
import type { HeldFunction, PciParts } from './held-function.ts'
import { resetWhenUnused } from './hot-reset.ts'
import { Power } from './power.ts'
import { resetMethodOf, runReset } from './reset-method.ts'
import { resourcesOf } from './resources.ts'
import { restoreState, saveState } from './saved-state.ts'
import { PciSession } from './session.ts'
import { VfToken } from './token.ts'

/** Base class 03, subclass 00. */
const VGA_CLASS = 0x0300

/** One function. */
export class VfioPciDevice implements VfioDriver, HeldFunction {
  readonly name = 'vfio-pci'
  readonly connection: VfioConnection
  readonly fn: PciFunction
  readonly parts: PciParts
  readonly resources: readonly Resource[]
  readonly power: Power
  readonly token: VfToken
  /** It was used and could not be reset when it was closed. */
  needsReset = false
  #session: PciSession | undefined

  constructor(fn: PciFunction, parts: PciParts) {
    this.fn = fn
    this.parts = parts
    this.connection = { kind: 'physical', fn }
    this.resources = resourcesOf(fn)
    this.power = new Power(fn)
    this.token = new VfToken(fn)
  }

  get sysfs(): string {
    return `/sys/bus/pci/devices/${this.fn.name}`
  }
  /** While somebody uses it. */
  get session(): PciSession | undefined {
    return this.#session
  }
  /** The device as VFIO knows it. */
  get own(): VfioDevice | undefined {
    return this.parts.vfio.deviceOf(this.fn)
  }
  /** A legacy display. */
  get isVga(): boolean {
    return this.fn.readConfig(0x0a, 2) === VGA_CLASS
  }

  matches(text: string): boolean {
    return this.token.matches(text)
  }
  checkToken(uuid: Uint8Array | undefined): void {
    this.token.check(uuid)
  }
  open(_caller: Caller): VfioSession {
    return (this.#session = new PciSession(this))
  }

  /** Resets the function and puts back what the kernel keeps. @returns whether it can be reset alone */
  tryReset(): boolean {
    const method = resetMethodOf(this.fn, this.parts.pci)
    if (!method) return false
    const saved = saveState(this.fn)
    runReset(this.fn, method)
    restoreState(this.fn, saved)
    return true
  }
  /** Resets the function; its registers stay at their start. @returns whether it can be reset alone */
  runReset(): boolean {
    const method = resetMethodOf(this.fn, this.parts.pci)
    if (method) runReset(this.fn, method)
    return method !== undefined
  }
  /** Its session ended. */
  closed(): void {
    resetWhenUnused(this)
    this.#session = undefined
  }
}
