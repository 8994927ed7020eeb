/** Entries that a translation read, in words and fields. */
import { type ExplainedEntry, type Field, get, hex, hpaOf, join } from '@ioasis/core'
import { DTE0, DTE1, DTE2 } from '../spec/device-table.ts'
import { GCR3, GPTE } from '../spec/guest-page-table.ts'
import { PTE } from '../spec/host-page-table.ts'
import type { DteReader } from './dte-reader.ts'
import type { TrailEntry } from './host-walk.ts'

type ExplainedField = ExplainedEntry['fields'][number]

const named = (name: string, f: Field, lo: number, hi: number): ExplainedField => ({ name, value: hex(get(f, lo, hi)) })
const addressOf = (lo: number, hi: number): string => hex(hpaOf(hi & 0xf_ffff, lo & ~0xfff))

/** The device table entry that was read last. @param refusal why it cannot be used */
export function deviceEntry(reader: DteReader, index: number, refusal: string | undefined): ExplainedEntry {
  const [lo0, hi0, lo1, hi1, lo2, hi2, lo3, hi3] = reader.raw as unknown as readonly number[] as readonly [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const mode = get(DTE0.Mode, lo0, hi0)
  const fields: ExplainedField[] = [
    named('V', DTE0.V, lo0, hi0),
    named('TV', DTE0.TV, lo0, hi0),
    { ...named('Mode', DTE0.Mode, lo0, hi0), meaning: mode === 0 ? 'no host translation' : `${mode} levels` },
    { name: 'TablePtr', value: addressOf(lo0, hi0) },
    named('GV', DTE0.GV, lo0, hi0),
    named('GIOV', DTE0.GIOV, lo0, hi0),
    named('IR', DTE0.IR, lo0, hi0),
    named('IW', DTE0.IW, lo0, hi0),
    named('DomainID', DTE1.DomainId, lo1, hi1),
    named('I', DTE1.I, lo1, hi1),
    named('IV', DTE2.IV, lo2, hi2),
    named('IntCtl', DTE2.IntCtl, lo2, hi2),
  ]
  const where = mode === 0 ? 'no host table is walked' : `top table at ${addressOf(lo0, hi0)}`
  return {
    name: 'device table entry',
    hpa: hpaOf(reader.hpaHi, reader.hpaLo),
    index,
    words: [join(hi0, lo0), join(hi1, lo1), join(hi2, lo2), join(hi3, lo3)],
    fields,
    verdict: refusal ?? (get(DTE0.V, lo0, hi0) ? `domain ${get(DTE1.DomainId, lo1, hi1)}, ${where}` : 'not valid'),
  }
}

/** Fields by kind of table. */
const FIELDS: Readonly<Record<TrailEntry['kind'], Readonly<Record<string, Field>>>> = {
  host: { PR: PTE.PR, NextLevel: PTE.NextLevel, A: PTE.A, D: PTE.D, FC: PTE.FC, IR: PTE.IR, IW: PTE.IW },
  gcr3: { V: GCR3.V },
  guest: { P: GPTE.P, RW: GPTE.RW, US: GPTE.US, A: GPTE.A, D: GPTE.D, PS: GPTE.PS, NX: GPTE.NX },
}
const NAMES: Readonly<Record<TrailEntry['kind'], string>> = {
  host: 'I/O page table entry',
  gcr3: 'GCR3 entry',
  guest: 'guest page table entry',
}

/** An entry on the way of a walk. @param refusal why the walk ended at it */
export function tableEntry(
  { kind, level, index, hpaHi, hpaLo, lo, hi }: TrailEntry,
  refusal: string | undefined,
): ExplainedEntry {
  const fields = Object.entries(FIELDS[kind]).map(([name, f]) => named(name, f, lo, hi))
  const address = addressOf(lo, hi)
  const next = get(PTE.NextLevel, lo, hi)
  const isLeaf =
    kind === 'host' ? next === 0 || next === 7 : kind === 'guest' && (level === 1 || get(GPTE.PS, lo, hi) === 1)
  return {
    name: `${NAMES[kind]}, level ${level}`,
    hpa: hpaOf(hpaHi, hpaLo),
    index,
    words: [join(hi, lo)],
    fields: [...fields, { name: 'ADDR', value: address }],
    verdict: refusal ?? (isLeaf ? `maps a page at ${address}` : `the next table is at ${address}`),
  }
}
