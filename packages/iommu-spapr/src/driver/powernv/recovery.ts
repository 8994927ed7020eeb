/**
 * Error recovery of an endpoint through firmware. arch/powerpc/kernel/eeh.c eeh_pe_set_option, eeh_pe_get_state, eeh_pe_reset and
 * others; arch/powerpc/platforms/powernv/eeh-powernv.c.
 *
 * Not modelled: endpoints above this one (one that recovers makes those below unavailable), the record of what went wrong, the
 * host's own recovery thread, and that configuration space reads ones between a reset's beginning and its end.
 */
import { CAP, type ErrorRecovery, ERRNO, EXPRESS, type PciFunction, resetBus } from '@ioasis/core'
import { FREEZE, INJECT_FUNC_MAX, INJECT_TYPE, OPAL, type OpalFirmware, RESET_SCOPE } from '../../spec/opal.ts'

/** EEH_OPT_*, arch/powerpc/include/asm/eeh.h. */
const OPTION = { DISABLE: 0, ENABLE: 1, THAW_MMIO: 2, THAW_DMA: 3 } as const
/** EEH_RESET_*. */
const RESET = { DEACTIVATE: 0, HOT: 1, FUNDAMENTAL: 3 } as const
/** EEH_PE_STATE_*, include/uapi/linux/eeh.h. */
const STATE = { NORMAL: 0, STOPPED: 2, STOPPED_DMA: 4, UNAVAILABLE: 5 } as const
/** Devices that need a reset to recover (eeh_reset_ids): two Emulex adapters, as vendor and device. */
const NEEDS_RESET: ReadonlySet<number> = new Set([0x0710_19a2, 0xe220_10df])
/** Bytes of configuration space that are saved and, in part, restored after a reset (eeh_save_bars, eeh_restore_device_bars). */
const SAVED = 64

/** What an endpoint's recovery works on. */
export interface RecoveryParts {
  readonly opal: OpalFirmware
  readonly phb: number
  readonly pe: number
  /** Its functions, as they are now. */
  functions(): readonly PciFunction[]
}

/** Recovery of one endpoint. */
export class PnvRecovery implements ErrorRecovery {
  readonly #parts: RecoveryParts
  /**
   * Of functions in reset: what stood in their configuration space. Linux saves it as it finds a function; firmware of this
   * machine may give addresses later.
   */
  readonly #saved = new Map<PciFunction, readonly number[]>()

  constructor(parts: RecoveryParts) {
    this.#parts = parts
  }

  left(fn: PciFunction): void {
    this.#saved.delete(fn)
  }

  setOption(option: number): number {
    if (option === OPTION.DISABLE) return 0
    if (option === OPTION.ENABLE) return this.changeOwner()
    if (option === OPTION.THAW_MMIO) return this.#thaw(FREEZE.MMIO)
    if (option === OPTION.THAW_DMA) return this.#thaw(FREEZE.DMA)
    return -ERRNO.EINVAL
  }
  state(): number {
    const { opal, phb, pe } = this.#parts
    const frozen = opal.freezeStatus(phb, pe)
    if (frozen === FREEZE.NONE) return STATE.NORMAL
    if (frozen === FREEZE.ALL) return STATE.STOPPED
    return frozen === FREEZE.DMA ? STATE.STOPPED_DMA : STATE.UNAVAILABLE
  }
  reset(kind: number): number {
    if (kind === RESET.DEACTIVATE) return this.#reenable()
    if (kind !== RESET.HOT && kind !== RESET.FUNDAMENTAL) return -ERRNO.EINVAL
    const { opal, phb, pe } = this.#parts
    // Frozen while it is in reset: what software still stores must not arrive.
    opal.freezeSet(phb, pe, FREEZE.ALL)
    for (const fn of this.#parts.functions()) this.#save(fn)
    return this.#reset(kind)
  }
  configure(): number {
    return 0
  }
  inject(type: number, func: number, address: bigint, mask: bigint): number {
    if (func < 0 || func > INJECT_FUNC_MAX) return -ERRNO.EINVAL
    if (type !== INJECT_TYPE.BUS_32 && type !== INJECT_TYPE.BUS_64) return -ERRNO.ERANGE
    const { opal, phb, pe } = this.#parts
    return opal.errInject(phb, pe, type, func, address, mask) === OPAL.SUCCESS ? 0 : -ERRNO.EIO
  }
  /** eeh_pe_change_owner(): whoever gets it, or gives it back, has it in working order. */
  changeOwner(): number {
    const { opal, phb, pe } = this.#parts
    if (opal.freezeStatus(phb, pe) <= FREEZE.NONE) return 0
    if (this.#parts.functions().some((fn) => NEEDS_RESET.has(fn.readConfig(0, 4)))) {
      const failed = this.reset(RESET.HOT)
      if (failed !== 0) return failed
      return this.reset(RESET.DEACTIVATE)
    }
    return this.#unfreeze()
  }

  /** eeh_unfreeze_pe(). */
  #unfreeze(): number {
    return this.#thaw(FREEZE.MMIO) || this.#thaw(FREEZE.DMA)
  }
  /** eeh_pci_enable(): what runs is left alone. */
  #thaw(what: number): number {
    const { opal, phb, pe } = this.#parts
    if ((opal.freezeStatus(phb, pe) & what) === 0) return 0
    opal.freezeClear(phb, pe, what)
    return (opal.freezeStatus(phb, pe) & what) === 0 ? 0 : -ERRNO.EIO
  }
  /** eeh_pe_reenable_devices(). */
  #reenable(): number {
    for (const fn of this.#parts.functions()) this.#restore(fn)
    this.#saved.clear()
    return this.#unfreeze()
  }
  /** pnv_eeh_reset(): by the bridge above where its configuration space can do it, else by firmware; a virtual function resets itself. */
  #reset(kind: number): number {
    const { opal, phb } = this.#parts
    const [first] = this.#parts.functions()
    if (!first) return -ERRNO.EIO
    if (first.virtfn) return resetVirtual(first)
    const bridge = first.parent
    const scope = kind === RESET.HOT ? RESET_SCOPE.HOT : RESET_SCOPE.FUNDAMENTAL
    if (bridge && (kind === RESET.HOT || bridge.parent)) {
      resetBus(bridge)
      return 0
    }
    return opal.reset(phb, (bridge ?? first).bdf, scope, true) === OPAL.SUCCESS ? 0 : -ERRNO.EIO
  }
  /** A function that is in reset already has lost what it had. */
  #save(fn: PciFunction): void {
    if (this.#saved.has(fn)) return
    this.#saved.set(
      fn,
      Array.from({ length: SAVED / 4 }, (_, i) => fn.readConfig(4 * i, 4)),
    )
  }
  /** eeh_restore_device_bars(), then pci_reenable_device(): what a driver left enabled is enabled again. */
  #restore(fn: PciFunction): void {
    const saved = this.#saved.get(fn)
    if (!saved || fn.bridge) return
    for (const at of [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x30, 0x0c, 0x3c]) {
      fn.writeConfig(at, 4, saved[at / 4] as number)
    }
    const command = fn.readConfig(0x04, 2)
    fn.writeConfig(0x04, 2, command | ((saved[1] as number) & 0x140) | this.#decoding(fn))
  }
  /** Memory and I/O decoding, as far as it has BARs. */
  #decoding(fn: PciFunction): number {
    const spaces = fn.bars.map((bar) => (bar.space === 'io' ? 1 : bar.space === 'memory' ? 2 : 0))
    return spaces.reduce<number>((all, one) => all | one, 0)
  }
}

/** pnv_eeh_do_flr(). @returns 0, -ENOTTY: it cannot be reset alone */
function resetVirtual(fn: PciFunction): number {
  const express = fn.capability(CAP.EXPRESS)
  if ((fn.readConfig(express + EXPRESS.DEVCAP, 4) & EXPRESS.DEVCAP_FLR) === 0) return -ERRNO.ENOTTY
  const control = express + EXPRESS.DEVCTL
  fn.writeConfig(control, 2, fn.readConfig(control, 2) | EXPRESS.DEVCTL_FLR)
  return 0
}
