/**
 * Which capability each byte of a configuration space belongs to, and the list as a user sees it: what he may not see is
 * linked around. drivers/vfio/pci/vfio_pci_config.c vfio_cap_init, vfio_ecap_init.
 */
import { HEADER, PM, type PciFunction, STATUS } from '@ioasis/core'
import { CAPABILITY } from './ids.ts'
import { capabilityBytes, extendedBytes } from './lengths.ts'
import { dword, setDword, setWord, word } from './words.ts'

/** A byte of the header. No capability has this id: one that says so is empty and hidden. */
export const BASIC = 0
/** A byte that belongs to nothing. */
export const UNASSIGNED = 0xff

/** End of the header. */
const HEADER_BYTES = 0x40
const CONVENTIONAL_BYTES = 0x100

/** What a user sees of a function. */
export interface UserView {
  /**
   * For each byte the id of its capability, `BASIC` or `UNASSIGNED`. As in Linux an id has one byte here (`pci_config_map`): of a
   * hidden one that anchors the extended list the low byte counts, and behind a bridge that answers with ones that is none.
   */
  readonly owner: Uint8Array
  /** The user's copy, as the hardware read at first. */
  readonly virtual: Uint8Array
}

/** Reads a function's lists. */
export function userView(fn: PciFunction): UserView {
  const view = { owner: new Uint8Array(fn.config.length).fill(UNASSIGNED), virtual: new Uint8Array(fn.config.length) }
  take(view, fn, BASIC, 0, HEADER_BYTES)
  linkCapabilities(view, fn)
  if (fn.config.length > CONVENTIONAL_BYTES && fn.capability(CAPABILITY.EXPRESS) && dword(fn.config, 0x100) !== 0)
    linkExtended(view, fn)
  return view
}

/** First byte of the capability that a byte belongs to. */
export function startOf(owner: Uint8Array, pos: number): number {
  const id = owner[pos]
  if (id === BASIC) return 0
  const base = pos >= CONVENTIONAL_BYTES ? CONVENTIONAL_BYTES : HEADER_BYTES
  let at = pos
  while (at - 1 >= base && owner[at - 1] === id) at--
  return at
}

function take({ owner, virtual }: UserView, { config }: PciFunction, id: number, at: number, bytes: number): void {
  owner.fill(id, at, at + bytes)
  virtual.set(config.subarray(at, at + bytes), at)
}

function linkCapabilities(view: UserView, fn: PciFunction): void {
  const { virtual } = view
  const { config } = fn
  if (!(word(config, HEADER.STATUS) & STATUS.CAP_LIST)) return
  let link: number = HEADER.CAPABILITY_LIST
  let shown = 0
  let at = config[HEADER.CAPABILITY_LIST] as number
  for (let left = (CONVENTIONAL_BYTES - HEADER_BYTES) / 4; at && left > 0; left--) {
    const id = config[at] as number
    const next = config[at + 1] as number
    const bytes = id === BASIC ? 0 : capabilityBytes(fn, id, at)
    if (bytes === 0) virtual[link] = next
    else {
      take(view, fn, id, at, bytes)
      if (id === CAPABILITY.PM) hidePowerEvents(virtual, at)
      link = at + 1
      shown++
    }
    at = next
  }
  if (shown === 0) setWord(virtual, HEADER.STATUS, word(virtual, HEADER.STATUS) & ~STATUS.CAP_LIST)
}

/** A guest cannot handle power management events: the host does. */
function hidePowerEvents(virtual: Uint8Array, at: number): void {
  setWord(virtual, at + PM.CAPABILITIES, word(virtual, at + PM.CAPABILITIES) & ~PM.PME_SUPPORT)
  setWord(virtual, at + PM.CONTROL, word(virtual, at + PM.CONTROL) & ~(PM.PME_ENABLE | PM.PME_STATUS))
}

const NEXT = 0xffc0_0000

function linkExtended(view: UserView, fn: PciFunction): void {
  const { virtual } = view
  const { config } = fn
  let link: number | undefined
  let shown = 0
  let at = CONVENTIONAL_BYTES
  for (let left = (config.length - CONVENTIONAL_BYTES) / 4; left > 0 && at >= CONVENTIONAL_BYTES; left--) {
    const header = dword(config, at)
    const id = header & 0xffff
    const next = (header >>> 20) & 0xffc
    const bytes = extendedBytes(fn, id, at)
    if (bytes === 0 && link !== undefined) {
      setDword(virtual, link, ((dword(virtual, link) & ~NEXT) | (next << 20)) >>> 0)
    } else {
      // A first capability that is hidden stays as the empty anchor of the list.
      take(view, fn, id, at, bytes || 4)
      if (bytes === 0) setDword(virtual, at, (dword(virtual, at) & NEXT) >>> 0)
      else shown++
      link = at
    }
    at = next
  }
  if (shown === 0) setDword(virtual, CONVENTIONAL_BYTES, 0)
}
