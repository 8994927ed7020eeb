/** What a page-table format is: entries and levels as plain data, so that one map, unmap and lookup serve all of them. */

/**
 * A radix page table of 64-bit entries. All masks are of the entry's value as the specification prints it, whatever its
 * byte order in memory. Level 0 holds the smallest pages.
 */
export interface PageTableFormat {
  /** The specification's name, for messages. */
  readonly name: string
  /** Byte order of an entry in memory: big for the TCEs of POWER. */
  readonly endianness: 'little' | 'big'
  /** log2 of the bytes of one table; tables are aligned to their size. */
  readonly tableShift: number
  /** Bits that hold the address of a page or table, in place: `[51:12]`. The target must lie below the highest of them. */
  readonly address: bigint
  /** An entry with none of these bits is not present. */
  readonly present: bigint
  /** Bits of a leaf that follow from its permissions, wherever it stands. */
  readonly permissions: {
    /** In each leaf: x86-64 sets P, U/S and A. */
    readonly always: bigint
    /** In a leaf that may be read. */
    readonly read: bigint
    /** In a leaf that may be written: x86-64 sets D beforehand, so that hardware need not. */
    readonly write: bigint
    /** A leaf with all of these may be written; 0: each leaf may. */
    readonly writable: bigint
  }
  /** Set by hardware in a leaf that was written through, where it tracks that. Absent: dirty pages cannot be told. */
  readonly dirty?: bigint
  /**
   * A bit that hardware ignores. Where walks do not snoop, software sets it in an entry that points to a table once that
   * entry was flushed, so that others need not flush it again; drivers/iommu/generic_pt/iommu_pt.h pt_iommu_new_table,
   * SW_BIT_CACHE_FLUSH_DONE. Absent or 0: entries are not marked.
   */
  readonly flushedTable?: bigint
  /** From the smallest pages up. A geometry uses the first `topLevel + 1` of them. */
  readonly levels: readonly PageTableLevel[]
  /**
   * A page larger than its level's entry, written in all entries it covers: recognised by `tested`, its size is encoded
   * as AMD does it, in ones that fill the address up to a zero just below the page's middle bit.
   */
  readonly contiguous?: { readonly bits: bigint; readonly tested: bigint }
}

/** One level of a format. */
export interface PageTableLevel {
  /** log2 of the bytes that one entry covers. */
  readonly shift: number
  /** Bits of iova that index a table of this level. */
  readonly bits: number
  /** Bit n set: a page of 2^n bytes can stand here. Sizes above 2^shift need `PageTableFormat.contiguous`. */
  readonly pageSizes: bigint
  /** Bits that mark a page of 2^shift bytes at this level, such as a page-size bit. */
  readonly leafBits: bigint
  /**
   * An entry that points to the table below: it carries `bits`, and is told from a page by those of them in `tested`.
   * `tested` 0: each entry of this level points to a table. Absent at level 0.
   */
  readonly table?: { readonly bits: bigint; readonly tested: bigint }
}

/** One concrete shape of a format. */
export interface PageTableGeometry {
  /** Level of the root table: 3 for four levels. */
  readonly topLevel: number
  /**
   * A level up to which roots are put above the root, when something is mapped that it does not reach; absent: `topLevel`. Who
   * makes the table is told of each new root: see `PageTable`.
   */
  readonly growsTo?: number
  /** Bit n set: pages of 2^n bytes may be used. u64; sizes the format lacks are left out. */
  readonly pageSizes: bigint
  /** Width of an iova, where narrower than what the levels could hold. */
  readonly iovaBits?: number
}
