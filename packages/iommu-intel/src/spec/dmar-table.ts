/**
 * The ACPI table by which firmware tells where the units are: Intel VT-d r4.1 "8. BIOS Considerations" (8.1 "DMA Remapping
 * Reporting Structure" and following); include/acpi/actbl1.h struct acpi_table_dmar.
 *
 * Not read: RHSA (NUMA affinity), ANDD (ACPI name space devices), SIDP.
 */
import type { Hpa } from '@ioasis/core'

/** Which devices a structure speaks of: "8.3.1 Device Scope Structure". A bridge stands for everything behind it. */
export interface DeviceScope {
  readonly kind: 'endpoint' | 'bridge'
  /** The bus the path starts at. */
  readonly bus: number
  /** One step per bridge, the last one the device itself. */
  readonly path: readonly { readonly device: number; readonly function: number }[]
}

/** A remapping unit: "8.3 DMA Remapping Hardware Unit Definition Structure". */
export interface DmarUnitEntry {
  readonly registers: Hpa
  /** Bytes of registers, 4096 or more. */
  readonly bytes: number
  readonly segment: number
  /** Covers every device of the segment that no other unit names. */
  readonly includeAll: boolean
  readonly scope: readonly DeviceScope[]
  /** I/O APICs and HPETs whose interrupts it remaps: enumeration id and requester path. */
  readonly interruptSources: readonly (Omit<DeviceScope, 'kind'> & {
    readonly kind: 'ioapic' | 'hpet'
    readonly id: number
  })[]
}

/** Memory that devices keep using: "8.4 Reserved Memory Region Reporting Structure". */
export interface ReservedMemory {
  readonly segment: number
  readonly first: Hpa
  readonly last: Hpa
  readonly scope: readonly DeviceScope[]
}

/** Root ports with ATS: "8.5 Root Port ATS Capability Reporting Structure". */
export interface RootPortAts {
  readonly segment: number
  readonly allPorts: boolean
  readonly scope: readonly DeviceScope[]
}

/** A parsed table. */
export interface DmarTable {
  /** Bits of a host-physical address. */
  readonly hostAddressWidth: number
  /** The platform supports interrupt remapping. */
  readonly interruptRemapping: boolean
  readonly x2apicOptOut: boolean
  /** In the order of the table: `dmar0`, `dmar1`, ... */
  readonly units: readonly DmarUnitEntry[]
  readonly reserved: readonly ReservedMemory[]
  readonly rootAts: readonly RootPortAts[]
}

const SCOPE_KINDS = { 1: 'endpoint', 2: 'bridge', 3: 'ioapic', 4: 'hpet' } as const
type ScopeEntry = Omit<DeviceScope, 'kind'> & {
  readonly kind: (typeof SCOPE_KINDS)[1 | 2 | 3 | 4]
  readonly id: number
}

const isDevice = (s: ScopeEntry): boolean => s.kind === 'endpoint' || s.kind === 'bridge'
const devices = (all: readonly ScopeEntry[]): DeviceScope[] =>
  all.filter(isDevice).map(({ kind, bus, path }) => ({ kind: kind as 'endpoint' | 'bridge', bus, path }))

/** Reads device scopes from `at` to `end`; entries of other kinds (name space devices) are left out. */
function scopes(view: DataView, start: number, end: number): ScopeEntry[] {
  const out: ScopeEntry[] = []
  for (let at = start; at + 6 <= end;) {
    const length = view.getUint8(at + 1)
    if (length < 6 || at + length > end) throw new RangeError(`DMAR: device scope at ${at} has ${length} bytes`)
    const kind = SCOPE_KINDS[view.getUint8(at) as keyof typeof SCOPE_KINDS] as ScopeEntry['kind'] | undefined
    const path: { device: number; function: number }[] = []
    for (let p = at + 6; p + 2 <= at + length; p += 2)
      path.push({ device: view.getUint8(p), function: view.getUint8(p + 1) })
    if (kind) out.push({ kind, id: view.getUint8(at + 4), bus: view.getUint8(at + 5), path })
    at += length
  }
  return out
}

const address = (view: DataView, at: number): Hpa => Number(view.getBigUint64(at, true))

function unitEntry(view: DataView, at: number, end: number): DmarUnitEntry {
  const all = scopes(view, at + 16, end)
  return {
    registers: address(view, at + 8),
    bytes: 4096 << (view.getUint8(at + 5) & 0xf),
    segment: view.getUint16(at + 6, true),
    includeAll: (view.getUint8(at + 4) & 1) === 1,
    scope: devices(all),
    interruptSources: all.filter((s) => !isDevice(s)) as unknown as DmarUnitEntry['interruptSources'],
  }
}

/**
 * Parses a whole DMAR table, header included.
 * @throws RangeError when it is not a DMAR table, is cut short, its checksum is wrong or a structure overruns it
 */
export function parseDmar(bytes: Uint8Array): DmarTable {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 48 || String.fromCharCode(...bytes.subarray(0, 4)) !== 'DMAR')
    throw new RangeError('DMAR: not a DMAR table')
  const length = view.getUint32(4, true)
  if (length > bytes.length) throw new RangeError(`DMAR: the header says ${length} bytes, ${bytes.length} are there`)
  if ((bytes.subarray(0, length).reduce((sum, b) => sum + b, 0) & 0xff) !== 0)
    throw new RangeError('DMAR: wrong checksum')

  const units: DmarUnitEntry[] = []
  const reserved: ReservedMemory[] = []
  const rootAts: RootPortAts[] = []
  for (let at = 48; at + 4 <= length;) {
    const type = view.getUint16(at, true)
    const end = at + view.getUint16(at + 2, true)
    if (end <= at + 3 || end > length) throw new RangeError(`DMAR: structure at ${at} ends at ${end} of ${length}`)
    if (type === 0) units.push(unitEntry(view, at, end))
    else if (type === 1) {
      reserved.push({
        segment: view.getUint16(at + 6, true),
        first: address(view, at + 8),
        last: address(view, at + 16),
        scope: devices(scopes(view, at + 24, end)),
      })
    } else if (type === 2) {
      rootAts.push({
        segment: view.getUint16(at + 6, true),
        allPorts: (view.getUint8(at + 4) & 1) === 1,
        scope: devices(scopes(view, at + 8, end)),
      })
    }
    at = end
  }
  const flags = view.getUint8(37)
  return {
    hostAddressWidth: view.getUint8(36) + 1,
    interruptRemapping: (flags & 1) === 1,
    x2apicOptOut: (flags & 2) === 2,
    units,
    reserved,
    rootAts,
  }
}
