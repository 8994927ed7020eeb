/** Registers that recorded cases name at their end, by the names the files use. */
import type { CaseFile } from './case-file.ts'

/** Offset and bytes. */
export type RegisterPlace = readonly [offset: number, size: 4 | 8]

/** Intel VT-d r4.1 "11.4 Register Descriptions"; FRCD0 where CAP.FRO = 0x22 puts it, IVA and IOTLB where ECAP.IRO = 0xf does. */
const INTEL: Readonly<Record<string, RegisterPlace>> = {
  CAP: [0x08, 8],
  ECAP: [0x10, 8],
  GCMD: [0x18, 4],
  GSTS: [0x1c, 4],
  RTADDR: [0x20, 8],
  CCMD: [0x28, 8],
  FSTS: [0x34, 4],
  FECTL: [0x38, 4],
  FEDATA: [0x3c, 4],
  FEADDR: [0x40, 4],
  PMEN: [0x64, 4],
  IQH: [0x80, 8],
  IQT: [0x88, 8],
  IQA: [0x90, 8],
  ICS: [0x9c, 4],
  IECTL: [0xa0, 4],
  IRTA: [0xb8, 8],
  IVA: [0xf0, 8],
  IOTLB: [0xf8, 8],
  'FRCD0.lo': [0x220, 8],
  'FRCD0.hi': [0x228, 8],
}

/** AMD I/O Virtualization Technology Specification, 48882, "MMIO Registers". */
const AMD: Readonly<Record<string, RegisterPlace>> = {
  DEVTAB: [0x00, 8],
  CMDBASE: [0x08, 8],
  EVTBASE: [0x10, 8],
  CTRL: [0x18, 8],
  EXCLBASE: [0x20, 8],
  EXCLLIMIT: [0x28, 8],
  EFR: [0x30, 8],
  PPRBASE: [0x38, 8],
  CMDHEAD: [0x2000, 8],
  CMDTAIL: [0x2008, 8],
  EVTHEAD: [0x2010, 8],
  EVTTAIL: [0x2018, 8],
  STATUS: [0x2020, 8],
}

/** Where a register lies; `NAME+4` is the upper half of NAME. @returns undefined for a name that no case uses */
export function registerPlace(iommu: CaseFile['iommu'], name: string): RegisterPlace | undefined {
  const table = iommu === 'intel' ? INTEL : AMD
  const place = table[name.replace('+4', '')]
  return place && name.endsWith('+4') ? [place[0] + 4, 4] : place
}
