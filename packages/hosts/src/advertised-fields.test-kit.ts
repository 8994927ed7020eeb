/** Every field of the capability registers of both vendors, and what it does in this project: the text of docs/advertised.md. */

/** A field as the specification prints it, and what follows from it here. */
export type AdvertisedField = readonly [name: string, hi: number, lo: number, meaning: string]

/** One register. */
export interface AdvertisedRegister {
  readonly name: string
  /** Document and section. */
  readonly source: string
  readonly fields: readonly AdvertisedField[]
}

const STATE = 'State only: no command or table of it exists here'

/** VT-d's. */
export const INTEL: readonly AdvertisedRegister[] = [
  {
    name: 'Capability Register (CAP)',
    source: 'Intel VT-d r4.1 "11.4.2 Capability Register"',
    fields: [
      ['ND', 2, 0, 'Domain ids have 4 + 2·ND bits; the driver hands out as many'],
      ['AFL', 3, 3, 'Advanced fault logging: not modelled; faults go to the recording registers'],
      ['RWBF', 4, 4, '1: the driver flushes the write buffer after table changes; the command completes at once'],
      ['PLMR', 5, 5, 'Protected low memory: registers exist; the driver switches protection off at boot'],
      ['PHMR', 6, 6, 'Protected high memory: as PLMR'],
      ['CM', 7, 7, '1: absent entries are cached, so that the driver flushes new mappings, too'],
      ['SAGAW', 12, 8, 'Bit n: tables of n + 2 levels are walked; the driver takes the widest that fits MGAW'],
      ['MGAW', 21, 16, 'Addresses have MGAW + 1 bits; beyond them a request faults (reason 4)'],
      ['ZLR', 22, 22, 'Zero-length reads of pages without read permission: no device here sends any'],
      ['FRO', 33, 24, 'Fault recording registers begin at 16·FRO'],
      ['SLLPS', 37, 34, 'Bit 0: 2 MiB pages, bit 1: 1 GiB pages; without it the page-size bit faults (reason 12)'],
      ['PSI', 39, 39, '1: page-selective invalidation; else the driver flushes whole domains'],
      ['NFR', 47, 40, 'NFR + 1 fault recording registers; when all are full the overflow bit is set'],
      ['MAMV', 53, 48, 'A page-selective invalidation covers up to 2^MAMV pages'],
      ['DWD', 54, 54, 'Write draining is asked for by the driver; an invalidation is complete when its wait is'],
      ['DRD', 55, 55, 'Read draining: as DWD'],
      ['FS1GP', 56, 56, 'First stage: not modelled'],
      ['PI', 59, 59, 'Posted interrupts: not modelled'],
      ['FS5LP', 60, 60, 'First stage: not modelled'],
      ['ECMDS', 61, 61, STATE],
      ['ESIRTPS', 62, 62, '1: setting the interrupt table empties its cache'],
      ['ESRTPS', 63, 63, '1: setting the root table empties all caches; the driver then flushes nothing at boot'],
    ],
  },
  {
    name: 'Extended Capability Register (ECAP)',
    source: 'Intel VT-d r4.1 "11.4.3 Extended Capability Register"',
    fields: [
      ['C', 0, 0, '0: table walks do not snoop; the driver flushes each entry it writes (CLFLUSH)'],
      ['QI', 1, 1, '1: the driver invalidates through its queue; else through registers'],
      ['DT', 2, 2, 'Device TLBs: invalidations are accepted; no device here is given ATS by the VT-d driver'],
      [
        'IR',
        3,
        3,
        '1: the driver switches interrupt remapping on and reports isolated interrupts; messages stay as they are',
      ],
      ['EIM', 4, 4, 'x2APIC destinations: not used'],
      ['PT', 6, 6, '1: functions can pass through untranslated (identity domains)'],
      ['SC', 7, 7, '1: SNP in an entry overrides No Snoop; the driver can enforce coherency'],
      ['IRO', 17, 8, 'IVA and IOTLB registers stand at 16·IRO'],
      ['MHMV', 23, 20, 'Largest handle mask of an interrupt invalidation'],
      ['MTS', 25, 25, STATE],
      ['NEST', 26, 26, 'Nesting of scalable mode: not modelled'],
      ['PRS', 29, 29, 'Page requests: not modelled on VT-d'],
      ['ERS', 30, 30, STATE],
      ['SRS', 31, 31, STATE],
      ['NWFS', 33, 33, STATE],
      ['EAFS', 34, 34, STATE],
      ['PSS', 39, 35, 'PASID width: scalable mode is not modelled'],
      ['PASID', 40, 40, 'PASIDs: scalable mode is not modelled'],
      ['DIT', 41, 41, STATE],
      ['PDS', 42, 42, STATE],
      ['SMTS', 43, 43, 'Scalable mode: a unit with it is state only; such lab machines have groups and no silicon'],
      ['VCS', 44, 44, STATE],
      ['SSADS', 45, 45, 'Dirty bits of scalable mode: not modelled'],
      ['SSTS', 46, 46, 'Second stage of scalable mode: not modelled'],
      ['FSTS', 47, 47, 'First stage: not modelled'],
      ['SMPWCS', 48, 48, STATE],
      ['RPS', 49, 49, STATE],
    ],
  },
]

const UNUSED = 'No driver here asks for it; the unit has nothing behind it'

/** AMD-Vi's. */
export const AMD: readonly AdvertisedRegister[] = [
  {
    name: 'Capability Header',
    source: 'AMD IOMMU 48882 "Capability Header"',
    fields: [
      ['CapId', 7, 0, 'PCI capability id 0x0f'],
      ['CapPtr', 15, 8, 'The next capability of the unit’s function'],
      ['CapType', 18, 16, '3: an IOMMU'],
      ['CapRev', 23, 19, 'Revision of the block'],
      [
        'IotlbSup',
        24,
        24,
        '1: translation requests (ATS) are answered; the driver enables ATS where all units have it',
      ],
      ['HtTunnel', 25, 25, 'HyperTransport tunnel: not modelled'],
      [
        'NpCache',
        26,
        26,
        '1: absent entries are cached; the driver flushes new mappings, by aligned ranges, and each unmap at once',
      ],
      ['EFRSup', 27, 27, '1: the Extended Feature Register exists; else it reads 0'],
      ['CapExt', 28, 28, 'A second miscellaneous word exists'],
    ],
  },
  {
    name: 'Extended Feature Register (EFR)',
    source: 'AMD IOMMU 48882 "IOMMU Extended Feature Register"',
    fields: [
      ['PreFSup', 0, 0, 'PREFETCH_IOMMU_PAGES: taken; Linux never sends it'],
      ['PPRSup', 1, 1, 'Page request log exists; used with GT, GIO and EPH'],
      [
        'XTSup',
        2,
        2,
        '1: interrupt entries hold 32-bit destinations; the unit’s own interrupts come from its registers',
      ],
      ['NXSup', 3, 3, 'No-execute bit of guest tables counts'],
      ['GTSup', 4, 4, '1: guest tables (GCR3) are walked'],
      ['IASup', 6, 6, '1: INVALIDATE_IOMMU_ALL; else the driver goes through all ids at boot'],
      ['GASup', 7, 7, '1: 128-bit interrupt entries, which the driver then uses'],
      ['HESup', 8, 8, 'Hardware event registers'],
      ['PCSup', 9, 9, 'Performance counters: a larger register window, counters are not modelled'],
      ['HATS', 11, 10, 'Host tables of 4 + HATS levels; 3: none, and the driver takes guest tables'],
      ['GATS', 13, 12, 'Guest tables of 4 levels, or 5 with 1; QEMU’s 2 is reserved, and taken as 4'],
      ['GLXSup', 15, 14, 'GCR3 tables of up to GLXSup + 1 levels'],
      ['SmiFSup', 17, 16, 'SMI filter: not modelled'],
      ['SmiFRC', 20, 18, 'SMI filter: not modelled'],
      ['GAMSup', 23, 21, 'Guest virtual APIC: not modelled'],
      ['DualPprLogSup', 25, 24, UNUSED],
      ['DualEventLogSup', 29, 28, UNUSED],
      ['PASmax', 36, 32, 'PASIDs have PASmax + 1 bits'],
      ['USSup', 37, 37, 'User/supervisor bit of guest tables counts'],
      ['DevTblSegSup', 39, 38, UNUSED],
      ['PprOvrflwEarlySup', 40, 40, UNUSED],
      ['PPRAutoRspSup', 41, 41, UNUSED],
      ['BlkStopMrkSup', 44, 43, UNUSED],
      ['PerfOptSup', 45, 45, UNUSED],
      ['MsiCapMmioSup', 46, 46, 'The MSI capability stands among the registers, too'],
      ['GIOSup', 48, 48, '1: requests without PASID may use PASID 0’s tables: v2 domains'],
      ['HASup', 49, 49, 'Accessed bits of host tables are set where the entry asks'],
      ['EPHSup', 50, 50, 'Enhanced page request handling: without it Linux uses neither PASIDs nor ATS'],
      ['AttrFWSup', 51, 51, UNUSED],
      ['HDSup', 52, 52, '1: dirty bits of host tables: dirty tracking'],
      ['InvIotlbTypeSup', 54, 54, UNUSED],
      ['GAUpdateDisSup', 61, 61, UNUSED],
      ['ForcePhyDestSup', 62, 62, UNUSED],
      ['SNPSup', 63, 63, 'SEV-SNP: not modelled'],
    ],
  },
  {
    name: 'Extended Feature 2 Register (EFR2)',
    source: 'AMD IOMMU 48882 "Extended Feature 2 Register"',
    fields: [
      ['SevSnpIoSup', 1, 1, 'SEV-TIO: not modelled'],
      ['GCR3TRPMode', 3, 3, '1: a GCR3 root may be a guest-physical address: first stages of guests'],
      ['SnpAvicSup', 7, 5, UNUSED],
      ['NumIntRemapSup', 9, 8, '1: interrupt tables of 2048 entries, which the driver then uses'],
      ['HTRangeIgnore', 11, 11, '1: the HyperTransport range is not reserved'],
    ],
  },
]
