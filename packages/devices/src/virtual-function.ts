/**
 * The configuration space of a virtual function, made from that of its physical one. PCI Express Base Specification r6.0 "9.3.4
 * PF/VF Configuration Space Header": ids read ones, BARs and the interrupt pin zero; revision, class and subsystem are shared.
 */
import { CAP, EXT_CAP, findCapability, findExtendedCapability } from '@ioasis/core'

/** What a virtual function has beside the PCI Express capability. */
export interface VirtualConfig {
  readonly msix?: {
    readonly at: number
    readonly entries: number
    readonly table: { readonly bar: number; readonly offset: number }
    readonly pending: { readonly bar: number; readonly offset: number }
  }
}

const HEADER_TYPE = 0x0e
/** Bytes from the extended capability's header on that both kinds have. */
const SHARED: readonly (readonly [id: number, bytes: number])[] = [
  [EXT_CAP.AER, 0x48],
  [EXT_CAP.ARI, 8],
]
const EXPRESS_BYTES = 0x3c
/** Fields of the PCI Express capability that software writes: Device Control, Link Control, and the second ones. */
const CONTROLS = [0x08, 0x10, 0x28, 0x30]

/**
 * @param physical 4096 bytes with a PCI Express capability: it is taken over, at its place, as are error reporting and ARI
 * @returns 4096 bytes
 */
export function virtualConfig(physical: Uint8Array, { msix }: VirtualConfig = {}): Uint8Array {
  const config = new Uint8Array(4096)
  config.fill(0xff, 0, 4)
  config.set(physical.subarray(0x08, 0x0c), 0x08)
  config[HEADER_TYPE] = (physical[HEADER_TYPE] as number) & 0x7f
  config.set(physical.subarray(0x2c, 0x30), 0x2c)
  config[0x06] = 0x10
  const express = findCapability(physical, CAP.EXPRESS)
  config.set(physical.subarray(express, express + EXPRESS_BYTES), express)
  for (const field of CONTROLS) config.fill(0, express + field, express + field + 2)
  config[0x34] = express
  config[express + 1] = msix?.at ?? 0
  if (msix) putMsix(config, msix)
  shareExtended(config, physical)
  return config
}

function putMsix(config: Uint8Array, { at, entries, table, pending }: NonNullable<VirtualConfig['msix']>): void {
  const view = new DataView(config.buffer)
  config[at] = CAP.MSIX
  view.setUint16(at + 2, entries - 1, true)
  view.setUint32(at + 4, table.offset | table.bar, true)
  view.setUint32(at + 8, pending.offset | pending.bar, true)
}

/** The list begins at 0x100: a function without error reporting there has none. */
function shareExtended(config: Uint8Array, physical: Uint8Array): void {
  const view = new DataView(config.buffer)
  let link = 0
  for (const [id, bytes] of SHARED) {
    const at = findExtendedCapability(physical, id)
    if (!at || (link === 0 && at !== 0x100)) continue
    config.set(physical.subarray(at, at + bytes), at)
    view.setUint32(at, view.getUint32(at, true) & 0xf_ffff, true)
    if (link) view.setUint32(link, (view.getUint32(link, true) | (at << 20)) >>> 0, true)
    link = at
  }
}
