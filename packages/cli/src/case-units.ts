/** The silicon that plays hardware cases. */
import { amdCaseUnit } from '@ioasis/iommu-amd'
import { vtdCaseUnit } from '@ioasis/iommu-intel'
import type { CaseFile, MakeCaseUnit } from '@ioasis/testkit'

/** By the `iommu` of a case file. */
export const CASE_UNITS: Readonly<Record<CaseFile['iommu'], MakeCaseUnit>> = { intel: vtdCaseUnit, amd: amdCaseUnit }
