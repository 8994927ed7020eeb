/** The capability registers that QEMU's intel-iommu shows for its `-device intel-iommu` properties (observed with QEMU 11.1). */

/** Properties as on QEMU's command line. */
export interface QemuProperties {
  readonly intremap?: 'on' | 'off'
  readonly 'caching-mode'?: 'on' | 'off'
  /** 39 or 48; default 48. */
  readonly 'aw-bits'?: number
  readonly 'scalable-mode'?: 'on' | 'off'
  readonly 'snoop-control'?: 'on' | 'off'
  readonly 'device-iotlb'?: 'on' | 'off'
  /** First stage in place of the second; with scalable mode only. */
  readonly fsts?: 'on' | 'off'
  readonly fs1gp?: 'on' | 'off'
}
/** What a `VtdUnit` needs to look the same. */
export interface QemuUnit {
  /** CAP_REG and ECAP_REG, u64. */
  readonly cap: bigint
  readonly ecap: bigint
  /** Host address width in bits. */
  readonly haw: number
}

/** 16-bit domain ids, one fault record at 0x220, 2 MiB and 1 GiB leaves, PSI, MAMV 18, draining, ESRTPS. */
const CAP_COMMON = 0x80d2_008c_2200_0006n
const CAP_CM = 1n << 7n
const CAP_FS1GP = 1n << 56n
/** MGAW and SAGAW. */
const CAP_WIDTH: Readonly<Record<number, bigint>> = { 39: 0x26_0200n, 48: 0x2f_0600n }

/** Queued invalidation, pass-through, IOTLB registers at 0xf0. */
const ECAP_COMMON = 0xf42n
const ECAP_DT = 1n << 2n
/** Interrupt remapping, and MHMV 15. */
const ECAP_IR = 0xf0_0008n
const ECAP_SC = 1n << 7n
/** SMTS with SSTS and SRS, or with FSTS. */
const ECAP_SECOND_STAGE = 0x4800_8000_0000n
const ECAP_FIRST_STAGE = 0x8800_0000_0000n

/**
 * The registers for a set of properties; absent ones are off, except `fs1gp`.
 * @throws RangeError for an address width that QEMU refuses
 */
export function qemuUnit(properties: QemuProperties = {}): QemuUnit {
  const on = (name: Exclude<keyof QemuProperties, 'aw-bits'>): boolean => properties[name] === 'on'
  const haw = properties['aw-bits'] ?? 48
  const width = CAP_WIDTH[haw]
  if (width === undefined) throw new RangeError(`intel-iommu: aw-bits=${haw} is neither 39 nor 48`)
  const firstStage = on('scalable-mode') && on('fsts')
  let cap = CAP_COMMON | width
  if (on('caching-mode')) cap |= CAP_CM
  if (firstStage && properties.fs1gp !== 'off') cap |= CAP_FS1GP
  let ecap = ECAP_COMMON
  if (on('intremap')) ecap |= ECAP_IR
  if (on('device-iotlb')) ecap |= ECAP_DT
  if (on('snoop-control')) ecap |= ECAP_SC
  if (on('scalable-mode')) ecap |= firstStage ? ECAP_FIRST_STAGE : ECAP_SECOND_STAGE
  return { cap, ecap, haw }
}
