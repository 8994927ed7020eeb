/** OPAL as the kernel calls it, over this machine's bridges. skiboot core/pci-opal.c, hw/phb4.c (order of checks). */
import { type Bdf, busOf } from '@ioasis/core'
import {
  INJECT_FUNC_MAX,
  INJECT_TYPE,
  OPAL,
  OPAL_CALL,
  type OpalFirmware,
  RESET_SCOPE,
  TCE_KILL,
} from '../spec/opal.ts'
import { tveOf, TVE_LEVELS_MAX } from '../spec/tve.ts'
import type { FirmwareLog } from './firmware-log.ts'
import type { Phb } from './phb.ts'

/** What of a reset or an injected error reaches the bus. */
export interface OpalBus {
  /** Resets what lies behind a bridge function. @returns false when nothing stands there */
  resetBehind(segment: number, bridge: Bdf): boolean
}

/** What firmware finds. */
export interface OpalOptions {
  /** The bridges are QEMU's: they do not freeze, have no slot power and inject no errors. */
  readonly qemu: boolean
  /** log2 of the page sizes the bridges take. */
  readonly pageShifts: readonly number[]
}

/** Firmware of one machine. */
export class Opal implements OpalFirmware {
  readonly #phbs: readonly Phb[]
  readonly #bus: OpalBus
  readonly #log: FirmwareLog
  readonly #qemu: boolean
  readonly #pageShifts: readonly number[]

  constructor(phbs: readonly Phb[], bus: OpalBus, log: FirmwareLog, { qemu, pageShifts }: OpalOptions) {
    this.#phbs = phbs
    this.#bus = bus
    this.#log = log
    this.#qemu = qemu
    this.#pageShifts = pageShifts
  }

  setPe(phb: number, pe: number, requester: Bdf, busCompare: number, exact: boolean, on: boolean): number {
    const bridge = this.#at(phb, pe)
    if (!bridge || requester < 0 || requester > 0xffff || busCompare === 1 || busCompare > 7) return OPAL.PARAMETER
    const low = busCompare === 0 ? 8 : 7 - busCompare
    const first = exact ? requester : (busOf(requester) >>> low) << (low + 8)
    const last = exact ? requester : first + (1 << (low + 8)) - 1
    bridge.setEndpoint(first, last, on ? pe : undefined)
    return this.#done('OPAL_PCI_SET_PE', OPAL_CALL.PCI_SET_PE, { phb, pe, requester, on: Number(on) })
  }

  mapPeDmaWindow(
    phb: number,
    pe: number,
    window: number,
    levels: number,
    table: number,
    levelBytes: number,
    pageBytes: number,
  ): number {
    const bridge = this.#at(phb, pe)
    if (!bridge || window >>> 1 !== pe) return OPAL.PARAMETER
    if (levelBytes === 0) bridge.windows.write(window, 0, 0)
    else {
      const bits = Math.log2(levelBytes) - 3
      if (levels < 1 || levels > TVE_LEVELS_MAX || !Number.isInteger(bits) || bits < 9) return OPAL.PARAMETER
      const shift = Math.log2(pageBytes)
      if (!this.#pageShifts.includes(shift) || table % 4096 !== 0) return OPAL.PARAMETER
      const [lo, hi] = tveOf(table, levels, bits, shift)
      bridge.windows.write(window, lo, hi)
    }
    const args = { phb, pe, window, levels, table, levelBytes, pageBytes }
    return this.#done('OPAL_PCI_MAP_PE_DMA_WINDOW', OPAL_CALL.PCI_MAP_PE_DMA_WINDOW, args)
  }

  mapPeDmaWindowReal(phb: number, pe: number, window: number, first: bigint, bytes: bigint): number {
    const bridge = this.#at(phb, pe)
    if (!bridge || window >>> 1 !== pe) return OPAL.PARAMETER
    if (bytes === 0n) bridge.windows.write(window, 0, 0)
    else {
      const grain = (1n << 24n) - 1n
      if (first >> 59n !== BigInt(window & 1) || first & grain || bytes & grain) return OPAL.PARAMETER
      const [lo, hi] = tveOf(0, 1, 9, 0)
      bridge.windows.write(window, lo, hi, Number(bytes))
    }
    const args = { phb, pe, window, first, bytes }
    return this.#done('OPAL_PCI_MAP_PE_DMA_WINDOW_REAL', OPAL_CALL.PCI_MAP_PE_DMA_WINDOW_REAL, args)
  }

  tceKill(phb: number, kind: number, pe: number, pageBytes: number, hi: number, lo: number, pages: number): number {
    const bridge = this.#phbs[phb]
    if (!bridge || (kind !== TCE_KILL.ALL && pe >= bridge.endpoints)) return OPAL.PARAMETER
    if (kind === TCE_KILL.PAGES) bridge.killPages(pe, hi, lo, Math.log2(pageBytes), pages)
    else if (kind === TCE_KILL.PE) bridge.cache.dropEndpoint(pe)
    else if (kind === TCE_KILL.ALL) bridge.cache.dropAll()
    else return OPAL.PARAMETER
    if (!this.#log.wanted) return OPAL.SUCCESS
    return this.#done('OPAL_PCI_TCE_KILL', OPAL_CALL.PCI_TCE_KILL, { phb, kind, pe, pageBytes, hi, lo, pages })
  }

  freezeStatus(phb: number, pe: number): number {
    return this.#at(phb, pe)?.frozen(pe) ?? OPAL.PARAMETER
  }
  freezeClear(phb: number, pe: number, what: number): number {
    const bridge = this.#at(phb, pe)
    if (!bridge || what < 1 || what > 3) return OPAL.PARAMETER
    bridge.setFrozen(pe, bridge.frozen(pe) & ~what)
    return this.#done('OPAL_PCI_EEH_FREEZE_CLEAR', OPAL_CALL.PCI_EEH_FREEZE_CLEAR, { phb, pe, what })
  }
  freezeSet(phb: number, pe: number, what: number): number {
    const bridge = this.#at(phb, pe)
    if (!bridge || what < 1 || what > 3) return OPAL.PARAMETER
    if (!this.#qemu) bridge.setFrozen(pe, bridge.frozen(pe) | what)
    return this.#done('OPAL_PCI_EEH_FREEZE_SET', OPAL_CALL.PCI_EEH_FREEZE_SET, { phb, pe, what })
  }

  /** A hot or fundamental reset of a slot; the latter needs control of its power. */
  reset(phb: number, slot: Bdf, scope: number, assert: boolean): number {
    const bridge = this.#phbs[phb]
    if (!bridge) return OPAL.PARAMETER
    if (scope !== RESET_SCOPE.HOT && scope !== RESET_SCOPE.FUNDAMENTAL) return OPAL.UNSUPPORTED
    if (this.#qemu && scope === RESET_SCOPE.FUNDAMENTAL) return OPAL.HARDWARE
    if (assert && !this.#bus.resetBehind(bridge.segment, slot)) return OPAL.PARAMETER
    return this.#done('OPAL_PCI_RESET', OPAL_CALL.PCI_RESET, { phb, slot, scope, assert: Number(assert) })
  }

  /** phb4_err_inject: the endpoint is frozen as if the access had failed. */
  errInject(phb: number, pe: number, type: number, func: number, _address: bigint, _mask: bigint): number {
    const bridge = this.#at(phb, pe)
    if (this.#qemu) return OPAL.UNSUPPORTED
    if (!bridge || (type !== INJECT_TYPE.BUS_32 && type !== INJECT_TYPE.BUS_64)) return OPAL.PARAMETER
    if (func < 0 || func > INJECT_FUNC_MAX) return OPAL.PARAMETER
    bridge.setFrozen(pe, 3)
    return this.#done('OPAL_PCI_ERR_INJECT', OPAL_CALL.PCI_ERR_INJECT, { phb, pe, type, func })
  }

  #at(phb: number, pe: number): Phb | undefined {
    const bridge = this.#phbs[phb]
    return bridge && pe >= 0 && pe < bridge.endpoints ? bridge : undefined
  }
  #done(call: string, number: number, args: Readonly<Record<string, number | bigint>>): number {
    this.#log.add({ call, number, args, ret: OPAL.SUCCESS })
    return OPAL.SUCCESS
  }
}
