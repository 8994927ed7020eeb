/** A function that vfio-pci has: offered to VFIO, asleep until somebody opens it. drivers/vfio/pci/vfio_pci_core.c vfio_pci_core_register_device. */
import {
  type Caller,
  type Errno,
  idsOf,
  type PciFunction,
  type Removal,
  REMOVED,
  type VfioConnection,
  type VfioDriver,
  type VfioSession,
} from '@ioasis/core'
import type { VfioDevice } from '@ioasis/vfio'
import type { Resource } from './config/owner.ts'
import type { HeldFunction, PciParts } from './held-function.ts'
import { resetWhenUnused } from './hot-reset.ts'
import type { VfioPciParameters } from './parameters.ts'
import { Power } from './power.ts'
import { resourcesOf } from './resources.ts'
import { PciSession } from './session.ts'
import { VirtualFunctionSwitch } from './sriov.ts'
import { checkToken, matchesName, type TokenSide, VfToken } from './token.ts'

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
  readonly token: VfToken | undefined
  readonly #virtual: VirtualFunctionSwitch | undefined
  readonly #tokens: TokenSide
  /** It was used and could not be reset when it was closed. */
  needsReset = false
  msiOrder = 0
  /** As they stood when the driver took the function. */
  readonly parameters: VfioPciParameters
  #session: PciSession | undefined

  constructor(fn: PciFunction, parts: PciParts) {
    this.fn = fn
    this.parts = parts
    this.connection = { kind: 'physical', fn }
    this.resources = resourcesOf(fn)
    this.parameters = { ...parts.parameters }
    this.power = new Power(fn, this.parameters.disableIdleD3)
    const { pci, drivers } = parts
    const physfn = fn.virtfn && parts.deviceOf(fn.virtfn.physfn)
    if (fn.sriov) {
      this.token = new VfToken(fn.segment * 0x1_0000 + fn.bdf)
      this.#virtual = new VirtualFunctionSwitch({ fn, power: this.power, pci, drivers, released: () => this.#rest() })
    }
    this.#tokens = { fn, own: this.token, physical: physfn?.virtualFunctionsOn ? physfn.token : undefined }
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
  /** A legacy display whose region is offered. */
  get isVga(): boolean {
    return !this.parameters.disableVga && idsOf(this.fn).class >>> 8 === VGA_CLASS
  }

  matches(text: string): boolean {
    return matchesName(this.#tokens, text)
  }
  checkToken(uuid: Uint8Array | undefined): void {
    checkToken(this.#tokens, uuid)
  }
  open(_caller: Caller): VfioSession {
    this.#session = new PciSession(this)
    if (this.#tokens.physical) this.#tokens.physical.users++
    return this.#session
  }

  get virtualFunctionsOn(): boolean {
    return this.#virtual?.on ?? false
  }
  /** `sriov_numvfs`. @throws UapiError as `VirtualFunctionSwitch` */
  configureVirtual(count: number): void {
    if (count > 0) this.#virtual?.enable(count)
    else this.#virtual?.disable()
  }
  /** The driver gives it back: first its virtual functions go. @returns pending while they are used */
  removeVirtual(): Removal {
    return this.#virtual?.disable() ?? REMOVED
  }
  /** Nobody has it any more. */
  forget(): void {
    this.#virtual?.close()
  }

  /** Resets the function and puts back what the kernel keeps. @returns why it cannot be reset alone */
  tryReset(): Errno | undefined {
    return this.parts.pci.resets.reset(this.fn)
  }
  /** Resets the function; its registers stay at their start. @returns whether it can be reset alone */
  runReset(): boolean {
    return this.parts.pci.resets.run(this.fn) === undefined
  }
  /** Its session ended. */
  closed(): void {
    if (this.#tokens.physical) this.#tokens.physical.users--
    resetWhenUnused(this)
    this.#session = undefined
  }

  #rest(): void {
    if (!this.#session) this.power.idle()
    else if (this.#session.lowPower) this.power.sleep()
  }
}
