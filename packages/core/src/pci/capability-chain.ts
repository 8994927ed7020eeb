/** The linked lists of capabilities in a configuration space. They come from devices: a chain may loop or point anywhere. */
import { CAP, EXPRESS, HEADER, STATUS } from './header.ts'

/** One link of a chain. */
export interface CapabilityLink {
  readonly id: number
  /** Byte offset of its header. */
  readonly offset: number
}

/** No more fit into 192 bytes (PCI_FIND_CAP_TTL). */
const MOST_CAPABILITIES = 48
/** No more fit into 3840 bytes. */
const MOST_EXTENDED = 480

/** Reads 16 bits, little-endian. */
export const word = (config: Uint8Array, at: number): number =>
  (config[at] as number) | ((config[at + 1] as number) << 8)
/** Reads 32 bits, little-endian, unsigned. */
export const dword = (config: Uint8Array, at: number): number => (word(config, at) | (word(config, at + 2) << 16)) >>> 0
/** Writes 16 bits, little-endian. */
export function setWord(config: Uint8Array, at: number, value: number): void {
  config[at] = value & 0xff
  config[at + 1] = (value >>> 8) & 0xff
}
/** Writes 32 bits, little-endian. */
export function setDword(config: Uint8Array, at: number, value: number): void {
  setWord(config, at, value)
  setWord(config, at + 2, value >>> 16)
}

/** The capabilities in the first 256 bytes, in list order; ends where the list repeats itself or leaves its area. */
export function capabilities(config: Uint8Array): CapabilityLink[] {
  const found: CapabilityLink[] = []
  if (!(word(config, HEADER.STATUS) & STATUS.CAP_LIST)) return found
  const seen = new Set<number>()
  for (let at = (config[HEADER.CAPABILITY_LIST] as number) & 0xfc; at >= 0x40; at = (config[at + 1] as number) & 0xfc) {
    if (seen.has(at) || found.length >= MOST_CAPABILITIES || config[at] === 0xff) break
    seen.add(at)
    found.push({ id: config[at] as number, offset: at })
  }
  return found
}

/** The extended capabilities from offset 256 on, in list order; none in a configuration space of 256 bytes. */
export function extendedCapabilities(config: Uint8Array): CapabilityLink[] {
  const found: CapabilityLink[] = []
  const seen = new Set<number>()
  for (let at = 0x100; at >= 0x100 && at + 4 <= config.length;) {
    const header = dword(config, at)
    if (header === 0 || header === 0xffff_ffff || seen.has(at) || found.length >= MOST_EXTENDED) break
    seen.add(at)
    found.push({ id: header & 0xffff, offset: at })
    at = (header >>> 20) & 0xffc
  }
  return found
}

/** Offset of the first capability with this id; 0: absent. */
export const findCapability = (config: Uint8Array, id: number): number =>
  capabilities(config).find((c) => c.id === id)?.offset ?? 0
/** Offset of the first extended capability with this id; 0: absent. */
export const findExtendedCapability = (config: Uint8Array, id: number): number =>
  extendedCapabilities(config).find((c) => c.id === id)?.offset ?? 0

/** Device/Port type (`PORT`) from the PCI Express capability; undefined: a conventional function. */
export function portType(config: Uint8Array): number | undefined {
  const at = findCapability(config, CAP.EXPRESS)
  return at ? (word(config, at + EXPRESS.FLAGS) >>> 4) & 0xf : undefined
}
