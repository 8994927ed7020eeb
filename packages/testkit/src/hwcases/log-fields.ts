/**
 * Fields of log entries, as data: where each lies in the raw words, and how the case files write it. The player compares
 * with it, the reader of logs decodes with it, and the mutation check knows from it which bits count.
 */
import { hex } from '@ioasis/core'
import type { FaultRecord, LogEvent } from './case-file.ts'

/** A field of a log entry. */
export interface LogField {
  readonly name: string
  /** Which raw word, and its bits there. */
  readonly word: 0 | 1
  readonly mask: bigint
  /** From the file's value to those bits. @returns undefined for a value that the field cannot hold */
  encode(value: unknown): bigint | undefined
  /** From the raw word to the file's value. */
  decode(raw: bigint): string | number
}

/** A number in bits [lo, hi]; `flag`: written as 0 or 1. */
function number(name: string, word: 0 | 1, hi: number, lo: number, flag = false): LogField {
  const mask = ((1n << BigInt(hi - lo + 1)) - 1n) << BigInt(lo)
  return {
    name,
    word,
    mask,
    encode: (value) => fitting(BigInt(value as string | number) << BigInt(lo), mask),
    decode: (raw) => (flag ? Number((raw & mask) >> BigInt(lo)) : hex((raw & mask) >> BigInt(lo))),
  }
}
/** An address in place: the bits below `lo` read 0. */
function address(name: string, word: 0 | 1, lo: number): LogField {
  const mask = BigInt.asUintN(64, -1n << BigInt(lo))
  return {
    name,
    word,
    mask,
    encode: (value) => fitting(BigInt(value as string), mask),
    decode: (raw) => hex(raw & mask),
  }
}
const fitting = (bits: bigint, mask: bigint): bigint | undefined => ((bits & ~mask) === 0n ? bits : undefined)

const TYPES: Readonly<Record<string, bigint>> = {
  write: 0n,
  read: 1n << 62n,
  page: 1n << 28n,
  atomic: (1n << 62n) | (1n << 28n),
}
const TYPE_MASK = (1n << 62n) | (1n << 28n)

/** Intel VT-d r4.1 "11.4.14 Fault Recording Registers"; T1 and T2 together tell the type. */
export const RECORD_FIELDS: readonly LogField[] = [
  number('reason', 1, 39, 32),
  number('sourceId', 1, 15, 0),
  address('addr', 0, 12),
  {
    name: 'type',
    word: 1,
    mask: TYPE_MASK,
    encode: (value) => TYPES[value as string],
    decode: (raw) => Object.keys(TYPES).find((type) => TYPES[type] === (raw & TYPE_MASK)) as string,
  },
  number('pasid', 1, 59, 40),
  number('pasidPresent', 1, 31, 31, true),
  number('exec', 1, 30, 30, true),
  number('priv', 1, 29, 29, true),
  number('index16', 0, 63, 48),
]

const FLAGS = ['GN', 'NX', 'US', 'I', 'PR', 'RW', 'PE', 'RZ', 'TR', 'b9', 'b10', 'b11']
const FLAG_BIT = 48n

/** AMD 48882 "Event Log Common Header". */
export const EVENT_FIELDS: readonly LogField[] = [
  number('code', 0, 63, 60),
  {
    name: 'flags',
    word: 0,
    mask: 0xfffn << FLAG_BIT,
    encode: (value) => {
      const names = (value as string).split('+').filter((name) => name !== '')
      if (names.some((name) => !FLAGS.includes(name))) return undefined
      return names.reduce((bits, name) => bits | (1n << (FLAG_BIT + BigInt(FLAGS.indexOf(name)))), 0n)
    },
    decode: (raw) => FLAGS.filter((_, i) => (raw >> (FLAG_BIT + BigInt(i))) & 1n).join('+'),
  },
  number('domain', 0, 47, 32),
  {
    name: 'pasid',
    word: 0,
    mask: (0xffffn << 32n) | (0xfn << 16n),
    encode: (value) => {
      const pasid = BigInt(value as string)
      return pasid >> 20n ? undefined : ((pasid & 0xffffn) << 32n) | ((pasid >> 16n) << 16n)
    },
    decode: (raw) => hex(((raw >> 32n) & 0xffffn) | (((raw >> 16n) & 0xfn) << 16n)),
  },
  number('deviceId', 0, 15, 0),
  address('addr', 1, 0),
]

const EVENT_NAMES = [
  'RESERVED',
  'ILLEGAL_DEV_TABLE_ENTRY',
  'IO_PAGE_FAULT',
  'DEV_TAB_HARDWARE_ERROR',
  'PAGE_TAB_HARDWARE_ERROR',
  'ILLEGAL_COMMAND_ERROR',
  'COMMAND_HARDWARE_ERROR',
  'IOTLB_INV_TIMEOUT',
  'INVALID_DEVICE_REQUEST',
  'INVALID_PPR_REQUEST',
  'EVENT_COUNTER_ZERO',
  'GUEST_EVENT_FAULT',
  'VIOMMU_HARDWARE_ERROR',
  'RMP_PAGE_FAULT',
  'RMP_HARDWARE_ERROR',
  'RESERVED',
]

/** A fault record, decoded from its two words. */
export function recordFields(lo: bigint, hi: bigint): FaultRecord {
  return { ...decoded(RECORD_FIELDS, [lo, hi]), raw: [hex(lo), hex(hi)] } as unknown as FaultRecord
}
/** An event log entry, decoded from its two words. */
export function eventFields(lo: bigint, hi: bigint): LogEvent {
  const name = EVENT_NAMES[Number(lo >> 60n)]
  return { ...decoded(EVENT_FIELDS, [lo, hi]), name, raw: [hex(lo), hex(hi)] } as unknown as LogEvent
}
const decoded = (fields: readonly LogField[], words: readonly [bigint, bigint]): Record<string, string | number> =>
  Object.fromEntries(fields.map((f) => [f.name, f.decode(words[f.word])]))
