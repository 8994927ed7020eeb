/** Which cases are not asserted, and why: one list, so that the closing line can count them. */
import type { CaseFile, HwCase } from './case-file.ts'

/**
 * How QEMU and the specification relate in a recorded case that is not plain.
 * `qemu`: QEMU departs from the specification. `choice`: the specification leaves it open and QEMU took one possibility.
 * `limit`: QEMU implements less.
 */
export type DeviationKind = 'qemu' | 'choice' | 'limit'
/** One entry of the list. */
export interface Deviation {
  readonly kind: DeviationKind
  readonly text: string
}
/** By `<iommu>/<group>/<name>`; speaks of recorded (format 1) files only. */
export type Deviations = ReadonlyMap<string, Deviation>

/**
 * Whose behaviour a unit takes on where the specification leaves a choice: its own (`specification`), or QEMU's.
 * Cases of format 2 know nothing of QEMU's choices and are played with the specification's personality always.
 */
export type Personality = 'specification' | 'qemu'

/**
 * Reads the list of deviations.
 * @param source the JSON text, or the value it parses to
 * @throws Error naming the entry that is not one
 */
export function readDeviations(source: unknown): Deviations {
  const entries = Object.entries(
    (typeof source === 'string' ? JSON.parse(source) : source) as Record<string, Deviation>,
  )
  for (const [key, entry] of entries) {
    const good = ['qemu', 'choice', 'limit'].includes(entry?.kind) && typeof entry.text === 'string'
    if (!good || key.split('/').length !== 3)
      throw new Error(`deviations: ${key} is not {kind, text} of iommu/group/name`)
  }
  return new Map(entries)
}

/**
 * Why a case is not asserted.
 * @returns undefined when it is
 */
export function exemption(
  file: CaseFile,
  hwCase: HwCase,
  deviations: Deviations,
  personality: Personality = 'specification',
): string | undefined {
  if (file.format === 2) {
    return hwCase.confidence === 'low' ? `low confidence: ${hwCase.why ?? 'sources contradict'}` : undefined
  }
  const deviation = deviations.get(`${file.iommu}/${hwCase.group}/${hwCase.name}`)
  if (!deviation || (deviation.kind === 'choice' && personality === 'qemu')) return undefined
  return `${deviation.kind}: ${deviation.text}`
}

/** Keys of the list that name no case of `file`: a typing mistake, or a case kept elsewhere. */
export function unusedDeviations(file: CaseFile, deviations: Deviations): readonly string[] {
  const known = new Set(file.cases.map((c) => `${file.iommu}/${c.group}/${c.name}`))
  return [...deviations.keys()].filter((key) => key.startsWith(`${file.iommu}/`) && !known.has(key))
}
