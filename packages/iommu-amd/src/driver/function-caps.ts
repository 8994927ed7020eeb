/**
 * What a function can do with an IOMMU (ATS, page requests, PASIDs), and switching it on and off in its configuration space.
 * drivers/iommu/amd/iommu.c pdev_get_caps, pdev_enable_caps; drivers/pci/ats.c.
 */
import { EXT_CAP, type PciFunction } from '@ioasis/core'

/** Registers from the start of their capabilities. */
const ATS_CAPABILITY = 4
const ATS_CONTROL = 6
const ATS_ENABLE = 0x8000
const PRI_CONTROL = 4
const PRI_STATUS = 6
const PRI_MAX = 8
const PRI_ALLOCATION = 12
const PRI_ENABLE = 1
const PRI_RESET = 2
/** Status: PRG Response PASID Required. */
const PRI_PASID_REQUIRED = 0x8000
const PASID_CAPABILITY = 4
const PASID_CONTROL = 6
/** Neither execute nor privileged mode: only what user space may reach. */
const PASID_ENABLE = 1
/** Outstanding page requests that Linux allows. */
const REQUESTS = 32

/** One function's share in it. */
export class FunctionCaps {
  /** Invalidations that the device's cache takes at a time. */
  depth = 0
  atsEnabled = false
  priEnabled = false
  pasidEnabled = false
  /** Page responses carry the PASID. */
  responseHasPasid = false
  readonly #fn: PciFunction
  readonly #ats: number
  readonly #pri: number
  readonly #pasid: number

  /** @param looked the units know page requests and PASIDs at all: else Linux does not look */
  constructor(fn: PciFunction, looked: boolean) {
    this.#fn = fn
    this.#ats = looked ? fn.extendedCapability(EXT_CAP.ATS) : 0
    this.#pri = looked ? fn.extendedCapability(EXT_CAP.PRI) : 0
    this.#pasid = looked ? fn.extendedCapability(EXT_CAP.PASID) : 0
  }

  get ats(): boolean {
    return this.#ats !== 0
  }
  get pri(): boolean {
    return this.#pri !== 0
  }
  get pasid(): boolean {
    return this.#pasid !== 0
  }
  /** PASIDs the function can send. */
  get maxPasids(): number {
    return this.pasid ? 2 ** ((this.#fn.readConfig(this.#pasid + PASID_CAPABILITY, 2) >>> 8) & 0x1f) : 0
  }

  /** pdev_enable_cap_ats(). @param able all units answer translation requests */
  enableAts(able: boolean): void {
    if (this.atsEnabled || !able || !this.ats) return
    this.#fn.writeConfig(this.#ats + ATS_CONTROL, 2, ATS_ENABLE)
    this.atsEnabled = true
    // 0 stands for 32.
    this.depth = this.#fn.readConfig(this.#ats + ATS_CAPABILITY, 2) & 0x1f || 32
  }
  /** pdev_enable_caps(): page requests need ATS, PASIDs do not. */
  enableAll(able: boolean): void {
    this.#enablePasid()
    this.enableAts(able)
    this.#enablePri()
  }
  /** What needs guest tables goes. */
  disablePasid(): void {
    if (this.pasidEnabled) this.#fn.writeConfig(this.#pasid + PASID_CONTROL, 2, 0)
    this.pasidEnabled = false
    this.disablePri()
  }
  disablePri(): void {
    if (!this.priEnabled) return
    this.#fn.writeConfig(this.#pri + PRI_CONTROL, 2, 0)
    this.priEnabled = false
  }
  /** pdev_disable_caps(). */
  disableAll(): void {
    if (this.atsEnabled) this.#fn.writeConfig(this.#ats + ATS_CONTROL, 2, 0)
    this.atsEnabled = false
    this.disablePasid()
  }

  #enablePasid(): void {
    if (this.pasidEnabled || !this.pasid) return
    this.#fn.writeConfig(this.#pasid + PASID_CONTROL, 2, PASID_ENABLE)
    this.pasidEnabled = true
  }
  #enablePri(): void {
    if (this.priEnabled || !this.atsEnabled || !this.pri) return
    const fn = this.#fn
    fn.writeConfig(this.#pri + PRI_CONTROL, 2, PRI_RESET)
    const most = fn.readConfig(this.#pri + PRI_MAX, 4)
    fn.writeConfig(this.#pri + PRI_ALLOCATION, 4, Math.min(most, REQUESTS))
    fn.writeConfig(this.#pri + PRI_CONTROL, 2, PRI_ENABLE)
    this.priEnabled = true
    this.responseHasPasid = (fn.readConfig(this.#pri + PRI_STATUS, 2) & PRI_PASID_REQUIRED) !== 0
  }
}
