/**
 * The power state of one function: what its user sets in the capability, and the sleep of a device nobody uses.
 * drivers/vfio/pci/vfio_pci_core.c vfio_pci_set_power_state, vfio_pci_core_runtime_suspend; drivers/pci/pci-driver.c.
 */
import { CAP, PM, type PciFunction, restoreState, type SavedState, saveState } from '@ioasis/core'

/** Power of one function, for as long as the driver has it. */
export class Power {
  readonly #fn: PciFunction
  readonly #control: number
  /** The function forgets its registers on the way from D3hot to D0 (No_Soft_Reset is 0). */
  readonly #forgets: boolean
  /** It stays awake while nobody uses it (parameter `disable_idle_d3`). */
  readonly #restless: boolean
  /** What the user's own D3hot must give back. */
  #kept: SavedState | undefined
  /** What the sleep must give back. */
  #asleep: SavedState | undefined
  #pinned = false

  constructor(fn: PciFunction, restless: boolean) {
    this.#fn = fn
    this.#restless = restless
    const at = fn.capability(CAP.PM)
    this.#control = at && at + PM.CONTROL
    this.#forgets = at !== 0 && (fn.readConfig(at + PM.CONTROL, 2) & PM.NO_SOFT_RESET) === 0
  }

  /** D0 to D3hot now. */
  get state(): 0 | 1 | 2 | 3 {
    return this.#fn.powerState
  }
  /** Nobody uses it, or its user let it sleep. */
  get sleeps(): boolean {
    return this.#asleep !== undefined
  }
  /** While its virtual functions are on it cannot leave D0. */
  set pinned(pinned: boolean) {
    this.#pinned = pinned
    if (!pinned) return
    this.wake()
    this.set(0)
  }

  /** Sets a state; one the function does not have, or a deeper one from D3hot, is ignored. */
  set(state: 0 | 1 | 2 | 3): void {
    if (this.#control === 0 || (this.#pinned && state > 0)) return
    const now = this.state
    if (state === now || (state !== 0 && now > state)) return
    if (state === 3 && this.#forgets) this.#kept = saveState(this.#fn)
    this.#write(state)
    if (state === 0 && now === 3 && this.#kept) {
      restoreState(this.#fn, this.#kept)
      this.#kept = undefined
    }
  }
  /** Runtime suspend: D3hot from D0, whatever the user had set. */
  sleep(): void {
    if (this.#asleep || this.#pinned) return
    this.set(0)
    this.#asleep = saveState(this.#fn)
    if (this.#control) this.#write(3)
  }
  /** Nobody uses it: it may sleep. */
  idle(): void {
    if (!this.#restless) this.sleep()
  }
  /** Runtime resume. */
  wake(): void {
    const saved = this.#asleep
    if (!saved) return
    this.#asleep = undefined
    if (this.#control) this.#write(0)
    restoreState(this.#fn, saved)
  }

  #write(state: 0 | 1 | 2 | 3): void {
    this.#fn.writeConfig(this.#control, 2, (this.#fn.readConfig(this.#control, 2) & ~PM.STATE) | state)
  }
}
