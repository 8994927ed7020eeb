/** Capabilities by name, to compose a configuration space from. Offsets within a capability are those of its specification. */
import { PORT } from '@ioasis/core'

/** One capability before it has a place: its body, with room for the header that the list needs. */
export interface Capability {
  readonly id: number
  /** Version of an extended capability; absent: it belongs in the first 256 bytes. */
  readonly version?: number
  /** The whole capability; the first 2 bytes (4 of an extended one) are the list's. */
  readonly body: Uint8Array
  /** Where it must stand; absent: the next free place. */
  readonly at?: number
}

/** Where a capability must stand, for those who imitate a particular device. */
export interface Place {
  /** Offset, a multiple of 4. */
  readonly at?: number
}

type Value = readonly [offset: number, bytes: 1 | 2 | 4, value: number]

function capability(id: number, size: number, values: readonly Value[], place: Place, version?: number): Capability {
  const body = new Uint8Array(size)
  for (const [offset, bytes, value] of values) {
    for (let i = 0; i < bytes; i++) body[offset + i] = value >>> (8 * i)
  }
  return {
    id,
    body,
    ...(version === undefined ? {} : { version }),
    ...(place.at === undefined ? {} : { at: place.at }),
  }
}

/** Power Management, PCI PM 1.2 "3.2 PCI Power Management Register Block Definition". @param options `d1`, `d2`: states it has besides D0 and D3 */
export const powerManagement = (
  options: Place & { d1?: boolean; d2?: boolean; noSoftReset?: boolean } = {},
): Capability =>
  capability(
    0x01,
    8,
    [
      [2, 2, 3 | (options.d1 ? 0x200 : 0) | (options.d2 ? 0x400 : 0)],
      [4, 2, options.noSoftReset ? 8 : 0],
    ],
    options,
  )

/**
 * MSI, PCI Local Bus 3.0 "6.8.1 MSI Capability Structure".
 * @param options `vectors`: a power of two up to 32, default 1; `wide`: 64-bit address, default true; `maskable`: per-vector masking
 * @throws RangeError for another number of vectors
 */
export function msi(options: Place & { vectors?: number; wide?: boolean; maskable?: boolean } = {}): Capability {
  const { vectors = 1, wide = true, maskable = false } = options
  const order = Math.log2(vectors)
  if (!Number.isInteger(order) || order < 0 || order > 5)
    throw new RangeError(`msi: ${vectors} vectors; 1, 2, 4 … 32 are possible`)
  const size = (wide ? 0x0e : 0x0a) + (maskable ? 0x0a : 0)
  return capability(0x05, size, [[2, 2, (order << 1) | (wide ? 0x80 : 0) | (maskable ? 0x100 : 0)]], options)
}

/**
 * MSI-X, PCI Local Bus 3.0 "6.8.2 MSI-X Capability and Table Structures".
 * @param options `vectors`: 1 to 2048; `table`, `pending`: BAR index and offset (a multiple of 8) of the two structures
 * @throws RangeError for another number of vectors
 */
export function msix(
  options: Place & {
    vectors: number
    table: { bar: number; offset: number }
    pending: { bar: number; offset: number }
  },
): Capability {
  const { vectors, table, pending } = options
  if (!(vectors >= 1 && vectors <= 2048)) throw new RangeError(`msix: ${vectors} vectors; 1 to 2048 are possible`)
  return capability(
    0x11,
    12,
    [
      [2, 2, vectors - 1],
      [4, 4, table.offset | table.bar],
      [8, 4, pending.offset | pending.bar],
    ],
    options,
  )
}

/** What a PCI Express function is. */
export type ExpressType =
  | 'endpoint'
  | 'legacyEndpoint'
  | 'rootPort'
  | 'upstream'
  | 'downstream'
  | 'pcieToPci'
  | 'pciToPcie'
  | 'integrated'
/** Device/Port Type of the PCI Express capability. */
const EXPRESS_TYPE: Readonly<Record<ExpressType, number>> = {
  endpoint: PORT.ENDPOINT,
  legacyEndpoint: PORT.LEGACY_ENDPOINT,
  rootPort: PORT.ROOT_PORT,
  upstream: PORT.UPSTREAM,
  downstream: PORT.DOWNSTREAM,
  pcieToPci: PORT.PCIE_TO_PCI,
  pciToPcie: PORT.PCI_TO_PCIE,
  integrated: PORT.RC_ENDPOINT,
}

/** What a PCI Express capability says. */
export interface ExpressOptions extends Place {
  /** Default: `endpoint`. */
  readonly type?: ExpressType
  /** Function Level Reset. */
  readonly flr?: boolean
  /** Enable No Snoop in Device Control: `on` or `off` at reset (software may change it); default `off`. */
  readonly noSnoop?: 'on' | 'off'
  /** A root or downstream port with a slot. */
  readonly slot?: boolean
  /** GT/s as the Link registers encode it: 1 (2.5) to 6 (64); default 1. */
  readonly speed?: number
  /** Lanes; default 1. */
  readonly width?: number
}

/** PCI Express, PCIe Base 5.0 "7.5.3 PCI Express Capability Structure". */
export function express(options: ExpressOptions = {}): Capability {
  const { type = 'endpoint', flr = false, noSnoop = 'off', slot = false, speed = 1, width = 1 } = options
  const link = speed | (width << 4)
  return capability(
    0x10,
    0x3c,
    [
      [2, 2, 2 | (EXPRESS_TYPE[type] << 4) | (slot ? 0x100 : 0)],
      [4, 4, 0x8000 | (flr ? 1 << 28 : 0)],
      // Max_Read_Request_Size 512 bytes, Enable Relaxed Ordering
      [8, 2, 0x2010 | (noSnoop === 'on' ? 0x800 : 0)],
      [0x0c, 4, link],
      [0x12, 2, link],
      [0x2c, 4, ((1 << speed) - 1) << 1],
      [0x30, 2, speed],
    ],
    options,
  )
}

/** Vendor-specific data, PCI Local Bus 3.0 "6.7". @param data what follows the length byte */
export const vendorSpecific = (data: Uint8Array, place: Place = {}): Capability => {
  const made = capability(0x09, data.length + 3, [[2, 1, data.length + 3]], place)
  made.body.set(data, 3)
  return made
}

/** Access Control Services. @param bits capability bits, see core's `ACS`; `enabled` are on at reset (an IOMMU driver turns them on) */
export const acs = (bits: number, options: Place & { enabled?: number } = {}): Capability =>
  capability(
    0x000d,
    8,
    [
      [4, 2, bits],
      [6, 2, options.enabled ?? 0],
    ],
    options,
    1,
  )

/** Advanced Error Reporting, PCIe Base 5.0 "7.8.4", with the default severities. */
export const advancedErrors = (place: Place = {}): Capability =>
  capability(
    0x0001,
    0x48,
    [
      [0x0c, 4, 0x00462030],
      [0x14, 4, 0x00002000],
    ],
    place,
    2,
  )

/** Device Serial Number, PCIe Base 5.0 "7.9.3". @param serial u64 */
export const serialNumber = (serial: bigint, place: Place = {}): Capability =>
  capability(
    0x0003,
    12,
    [
      [4, 4, Number(BigInt.asUintN(32, serial))],
      [8, 4, Number(BigInt.asUintN(32, serial >> 32n))],
    ],
    place,
    1,
  )

/** Alternative Routing-ID, PCIe Base 5.0 "7.8.7". @param next number of the next function; 0: the last */
export const ari = (next = 0, place: Place = {}): Capability => capability(0x000e, 8, [[4, 2, next << 8]], place, 1)

/** Single Root I/O Virtualization, SR-IOV 1.1 "3.3". @param options `vfs` at most; `offset`, `stride` of their routing ids; `device`: their device id; `link`: device and function number of whom it depends on, its own for nobody */
export const sriov = (
  options: Place & { vfs: number; offset: number; stride: number; device: number; link?: number },
): Capability =>
  capability(
    0x0010,
    0x40,
    [
      [0x0c, 2, options.vfs],
      [0x0e, 2, options.vfs],
      [0x12, 2, options.link ?? 0],
      [0x14, 2, options.offset],
      [0x16, 2, options.stride],
      [0x1a, 2, options.device],
      [0x1c, 4, 0x553],
      [0x20, 4, 1],
    ],
    options,
    1,
  )

/** Address Translation Services, PCIe Base 5.0 "10.5.1". @param options `queueDepth`: invalidations it takes at a time, default 32 */
export const ats = (options: Place & { queueDepth?: number } = {}): Capability =>
  capability(0x000f, 8, [[4, 2, (options.queueDepth ?? 32) & 0x1f]], options, 1)

/** Page Request Interface, PCIe Base 5.0 "10.5.2". @param options `outstanding`: requests it can have open, default 32 */
export const pageRequests = (options: Place & { outstanding?: number } = {}): Capability =>
  capability(
    0x0013,
    16,
    [
      [6, 2, 0x100],
      [8, 4, options.outstanding ?? 32],
    ],
    options,
    1,
  )

/** Process Address Space ID, PCIe Base 5.0 "7.8.9". @param options `bits`: width, default 20 */
export const pasid = (options: Place & { bits?: number } = {}): Capability =>
  capability(0x001b, 8, [[4, 2, ((options.bits ?? 20) << 8) | 6]], options, 1)
