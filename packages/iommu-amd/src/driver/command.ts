/**
 * What a driver asks a unit to do, and how that reads as a command: 48882 "Command Buffer"; drivers/iommu/amd/iommu.c build_inv_dte,
 * build_inv_iommu_pages, build_inv_iotlb_pages, build_complete_ppr, build_inv_irt, build_inv_all, build_completion_wait.
 */
import {
  type Bdf,
  type Field,
  type Hpa,
  hpaHi,
  hpaLo,
  hiWord,
  type Iova,
  loWord,
  type Pasid,
  put,
  split,
} from '@ioasis/core'
import { ALL_PAGES, COMMAND0, COMMAND1, OPCODE } from '../spec/command.ts'

/** Forget the device table entry of a requester. */
export interface InvalidateDevice {
  readonly kind: 'device'
  readonly requester: Bdf
}
/** Forget translations of a domain. */
export interface InvalidatePages {
  readonly kind: 'pages'
  readonly domain: number
  /** First and last byte; together `ALL`: everything. */
  readonly first: Iova
  readonly last: Iova
  /** What is remembered of directories goes, too. */
  readonly directories: boolean
  /** The guest's addresses, of this PASID; absent: the host's. */
  readonly pasid?: Pasid
}
/** Let a device forget translations that it was given by ATS. */
export interface InvalidateDevicePages {
  readonly kind: 'device pages'
  readonly requester: Bdf
  /** How many invalidations the device takes at a time. */
  readonly depth: number
  readonly first: Iova
  readonly last: Iova
  readonly pasid?: Pasid
}
/** Forget the interrupt entries of a requester. */
export interface InvalidateInterrupts {
  readonly kind: 'interrupts'
  readonly requester: Bdf
}
/** Forget everything. */
export interface InvalidateAll {
  readonly kind: 'all'
}
/** Answer a page request. */
export interface AnswerPageRequest {
  readonly kind: 'page response'
  readonly requester: Bdf
  /** 4 bits, see `RESPONSE`. */
  readonly code: number
  /** 9 bits. */
  readonly group: number
  /** Present: the response carries it. */
  readonly pasid?: Pasid
}
/** One request. */
export type Command =
  | InvalidateDevice
  | InvalidatePages
  | InvalidateDevicePages
  | InvalidateInterrupts
  | InvalidateAll
  | AnswerPageRequest

/** Range of `pages` that is everything. */
export const ALL: { readonly first: Iova; readonly last: Iova } = { first: 0n, last: 0xffff_ffff_ffff_ffffn }

/** A command as four int32 words, the lowest first. */
export type CommandWords = readonly [number, number, number, number]

const opcode = (code: number, high = 0): number => put(COMMAND0.Opcode, high, code)
const low = (field: Field, value: number): number => put(field, 0, value)

/**
 * The address word of an invalidation: the page, or with the S bit the smallest aligned power of two that holds the range, its
 * size encoded in ones up to a zero (48882 "Table 14: Example Page Size Encodings"); beyond 52 bits everything. iommu.c
 * build_inv_address.
 */
export function rangeAddress(first: Iova, last: Iova): bigint {
  const page = first & ~0xfffn
  const width = (page ^ last).toString(2).length
  if (page === last || width <= 12) return page
  if (width > 52) return ALL_PAGES | 1n
  const ones = width > 13 ? ((1n << BigInt(width - 1)) - 1n) & ~0xfffn : 0n
  return page | ones | 1n
}

/** The words of a request. */
export function commandOf(command: Command): CommandWords {
  if (command.kind === 'pages') return pagesCommand(command)
  if (command.kind === 'device pages') return devicePagesCommand(command)
  if (command.kind === 'page response') return responseCommand(command)
  if (command.kind === 'all') return [0, opcode(OPCODE.INVALIDATE_IOMMU_ALL), 0, 0]
  const code = command.kind === 'device' ? OPCODE.INVALIDATE_DEVTAB_ENTRY : OPCODE.INVALIDATE_INTERRUPT_TABLE
  return [command.requester, opcode(code), 0, 0]
}

function responseCommand({ pasid, requester, code, group }: AnswerPageRequest): CommandWords {
  const answer = put(COMMAND1.ResponseCode, put(COMMAND1.CompletionTag, 0, group), code)
  const head = opcode(OPCODE.COMPLETE_PPR_REQUEST, low(COMMAND0.PprPasid, pasid ?? 0))
  return [requester, head, pasid === undefined ? 0 : low(COMMAND1.GN, 1), answer]
}
function pagesCommand({ domain, first, last, directories, pasid }: InvalidatePages): CommandWords {
  const [addressLo, addressHi] = address(first, last)
  let word = put(COMMAND1.PDE, addressLo, directories ? 1 : 0)
  if (pasid !== undefined) word = put(COMMAND1.GN, word, 1)
  const head = opcode(OPCODE.INVALIDATE_IOMMU_PAGES, low(COMMAND0.DomainId, domain))
  return [low(COMMAND0.Pasid, pasid ?? 0), head, word, addressHi]
}

function devicePagesCommand({ requester, depth, first, last, pasid }: InvalidateDevicePages): CommandWords {
  const [addressLo, addressHi] = address(first, last)
  let one = put(COMMAND0.MaxPend, requester, depth)
  let two = opcode(OPCODE.INVALIDATE_IOTLB_PAGES, low(COMMAND0.QueueId, requester))
  if (pasid === undefined) return [one, two, addressLo, addressHi]
  one = put(COMMAND0.IotlbPasid_15_8, one, pasid >>> 8)
  two = put(COMMAND0.IotlbPasid_7_0, two, pasid)
  return [one, two, put(COMMAND1.GN, addressLo, 1), addressHi]
}

function address(first: Iova, last: Iova): readonly [lo: number, hi: number] {
  split(rangeAddress(first, last))
  return [loWord(), hiWord()]
}

/** COMPLETION_WAIT that stores `value` at `hpa` once all before it is done. */
export function completionWait(hpa: Hpa, value: number): CommandWords {
  return [put(COMMAND0.Store, hpaLo(hpa), 1), opcode(OPCODE.COMPLETION_WAIT, hpaHi(hpa)), value, 0]
}

/** The command in words, for traces. */
export function commandText(command: Command): string {
  if (command.kind === 'all') return 'all'
  if (command.kind === 'pages') return `pages of domain ${command.domain}`
  const to = command.kind === 'page response' ? 'page response to' : command.kind
  return `${to} ${command.requester.toString(16)}`
}
