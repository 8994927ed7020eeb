/** Composes a configuration space from named parts instead of raw bytes. */
import { type Bar, CompositionError, hex } from '@ioasis/core'
import type { Capability } from './capabilities.ts'

/** What a configuration space says. */
export interface ConfigSpec {
  readonly vendor: number
  readonly device: number
  readonly subsystemVendor?: number
  readonly subsystem?: number
  readonly revision?: number
  /** Base class, subclass, programming interface: 24 bits, e.g. 0x020000 Ethernet. */
  readonly classCode: number
  /** Function 0 of a slot with several functions. */
  readonly multifunction?: boolean
  /** INTA to INTD as 1 to 4; 0 or absent: none. */
  readonly interruptPin?: 0 | 1 | 2 | 3 | 4
  readonly bars?: readonly Bar[]
  /** In the order of their list; extended ones make the space 4096 bytes, as does PCI Express (id 0x10). */
  readonly capabilities?: readonly Capability[]
  /** Bus numbers of a bridge. */
  readonly bridge?: { readonly primary: number; readonly secondary: number; readonly subordinate: number }
}

/**
 * Builds a configuration space. Which of its bits software can write follows from it (core's `writeMasks`).
 * @returns 256 or 4096 bytes
 * @throws CompositionError when the capabilities do not fit or overlap
 */
export function buildConfig(spec: ConfigSpec): Uint8Array {
  const capabilities = spec.capabilities ?? []
  const express = capabilities.some((c) => c.id === 0x10 || c.version !== undefined)
  const config = new Uint8Array(express ? 4096 : 256)
  const view = new DataView(config.buffer)
  view.setUint16(0x00, spec.vendor, true)
  view.setUint16(0x02, spec.device, true)
  view.setUint32(0x08, ((spec.classCode << 8) | (spec.revision ?? 0)) >>> 0, true)
  config[0x0e] = (spec.bridge ? 1 : 0) | (spec.multifunction ? 0x80 : 0)
  config[0x3d] = spec.interruptPin ?? 0
  for (const bar of spec.bars ?? []) putBar(view, bar)
  if (spec.bridge) {
    config.set([spec.bridge.primary, spec.bridge.secondary, spec.bridge.subordinate], 0x18)
    // windows closed (base above limit), 32-bit I/O off, 64-bit prefetchable
    config.set([0xf0, 0x00], 0x1c)
    config.set([0xf0, 0xff, 0x00, 0x00, 0xf1, 0xff, 0x01, 0x00], 0x20)
  } else {
    view.setUint16(0x2c, spec.subsystemVendor ?? 0, true)
    view.setUint16(0x2e, spec.subsystem ?? 0, true)
  }
  chain(
    config,
    capabilities.filter((c) => c.version === undefined),
    new Room(name(spec), 0x40, 0x100),
    0x34,
  )
  chainExtended(
    view,
    capabilities.filter((c) => c.version !== undefined),
    new Room(name(spec), 0x100, 0x1000),
  )
  return config
}

const name = (spec: ConfigSpec): string => `${hex(spec.vendor).slice(2)}:${hex(spec.device).slice(2)}`

function putBar(view: DataView, { index, space, wide, prefetchable }: Bar): void {
  if (space === 'rom') return
  view.setUint32(0x10 + 4 * index, space === 'io' ? 1 : (wide ? 4 : 0) | (prefetchable ? 8 : 0), true)
}

/** Room for capabilities: hands out free places, in steps of 4 bytes. */
class Room {
  readonly #what: string
  readonly #first: number
  readonly #end: number
  readonly #taken: { readonly first: number; readonly end: number }[] = []

  constructor(what: string, first: number, end: number) {
    this.#what = what
    this.#first = first
    this.#end = end
  }
  place({ id, body, at }: Capability): number {
    const size = (body.length + 3) & ~3
    let first = at ?? this.#first
    for (const t of this.#taken) if (at === undefined && first < t.end && first + size > t.first) first = t.end
    const other = this.#taken.find((t) => first < t.end && first + size > t.first)
    if (other || first < this.#first || first + size > this.#end || first & 3) {
      throw new CompositionError(`${this.#what}: capability ${hex(id)} of ${size} bytes does not fit at ${hex(first)}`)
    }
    this.#taken.push({ first, end: first + size })
    this.#taken.sort((a, b) => a.first - b.first)
    return first
  }
}

function chain(config: Uint8Array, capabilities: readonly Capability[], room: Room, head: number): void {
  let link = head
  for (const capability of capabilities) {
    const at = room.place(capability)
    config.set(capability.body, at)
    config[at] = capability.id
    config[at + 1] = 0
    config[link] = at
    link = at + 1
  }
  if (capabilities.length > 0) config[0x06] = (config[0x06] as number) | 0x10
}

function chainExtended(view: DataView, capabilities: readonly Capability[], room: Room): void {
  let link = -1
  for (const capability of capabilities) {
    // the first one must stand at 0x100: software starts there
    const at = room.place(link < 0 ? { at: 0x100, ...capability } : capability)
    new Uint8Array(view.buffer).set(capability.body, at)
    view.setUint32(at, capability.id | ((capability.version ?? 1) << 16), true)
    if (link >= 0) view.setUint32(link, view.getUint32(link, true) | (at << 20), true)
    link = at
  }
}
