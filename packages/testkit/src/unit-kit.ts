/**
 * What any IOMMU silicon must do, whatever its tables look like: `describeIommuUnit` runs it against a unit that is fed with
 * golden tables, words written by hand from the specification. The contract is `IommuUnit` in core's `dma/unit.ts`.
 */
import {
  ACCESS,
  type Access,
  type Bdf,
  DMA,
  DmaRequest,
  hex,
  type HostMemory,
  type Iova,
  type IommuUnit,
  TARGET,
} from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { RandomSource } from './random-source.ts'

/** A unit at work, made anew for every test. */
export interface UnitRig {
  readonly memory: HostMemory
  readonly unit: IommuUnit
  /** Entries in the unit's log since the last call, read as software reads them; leaves the log empty. */
  readonly newFaults: () => number
  /** Makes the unit read its tables again, for one that reads them when it is told (a doorbell) and not while it translates. */
  readonly reread?: () => void
}

/** A page that a requester may reach. */
export interface GoldenPage {
  readonly requester: Bdf
  readonly iova: Iova
  readonly hpa: number
}

/** Tables written by hand, and what they mean. */
export interface GoldenTables {
  /** A page to read and write; and the same iova of another requester, which leads elsewhere. */
  readonly page: GoldenPage
  readonly samePageOfOther: GoldenPage
  /** A page that may be read only. */
  readonly readOnly: GoldenPage
  /** Nothing is mapped there. */
  readonly unmapped: Pick<GoldenPage, 'requester' | 'iova'>
  /** Where messages are sent on this platform; default: 0xfee00000. */
  readonly messageAddress?: Iova
  /** Tables say nothing of this requester. */
  readonly stranger: Bdf
  /** Where the tables lie: the garbage test scribbles there. */
  readonly tables: readonly { readonly hpa: number; readonly bytes: number }[]
}

/** What the kit needs. */
export interface UnitKit {
  /** Names the unit under test. */
  readonly name: string
  /** Memory with the golden tables in it, and a unit that was switched on and uses them. */
  readonly create: () => UnitRig
  readonly golden: GoldenTables
  /** Tests left out: exact title and the reason. */
  readonly skip?: Readonly<Record<string, string>>
}

/** What one test gets. */
type Fed = Pick<UnitKit, 'create' | 'golden'> & Omit<GoldenTables, 'tables'>

/** One test per title. */
const TESTS: Readonly<Record<string, (fed: Fed) => void>> = {
  'a mapped page is read and written where its leaf says'({ create, page }) {
    const { unit, newFaults } = create()
    expect(ask(unit, page, ACCESS.READ)).toMatchObject({ status: DMA.OK, hpa: page.hpa, target: TARGET.MEMORY })
    expect(ask(unit, page, ACCESS.WRITE)).toMatchObject({ status: DMA.OK, hpa: page.hpa, target: TARGET.MEMORY })
    expect(newFaults()).toBe(0)
  },
  'a translation covers at least one byte and never more than was asked'({ create, page }) {
    const { unit } = create()
    const covered = [1, 3, 8, 4096, 1 << 20].map((length) => ask(unit, page, ACCESS.READ, length).bytes / length)
    expect(covered.every((share) => share > 0 && share <= 1)).toBe(true)
    expect(covered.slice(0, 3)).toStrictEqual([1, 1, 1])
  },
  'a write to a read-only page is refused with a reason, and the reason is in the log'({ create, readOnly }) {
    const { unit, newFaults } = create()
    expect(ask(unit, readOnly, ACCESS.READ)).toMatchObject({ status: DMA.OK, hpa: readOnly.hpa })
    expect(ask(unit, readOnly, ACCESS.WRITE).status).toBeGreaterThan(0)
    expect(newFaults()).toBe(1)
  },
  'an atomic needs both permissions'({ create, page, readOnly }) {
    const { unit } = create()
    expect(ask(unit, page, ACCESS.ATOMIC).status).toBe(DMA.OK)
    expect(ask(unit, readOnly, ACCESS.ATOMIC).status).toBeGreaterThan(0)
  },
  'an unmapped page is refused and logged, for reads and for writes'({ create, unmapped }) {
    const { unit, newFaults } = create()
    expect(ask(unit, unmapped, ACCESS.READ).status).toBeGreaterThan(0)
    expect(newFaults()).toBe(1)
    expect(ask(unit, unmapped, ACCESS.WRITE).status).toBeGreaterThan(0)
    expect(newFaults()).toBe(1)
  },
  'a refused access is refused again: refusals are not taken for translations'({ create, unmapped }) {
    const { unit } = create()
    const statuses = [0, 1, 2].map(() => ask(unit, unmapped, ACCESS.WRITE).status)
    expect(statuses[0]).toBeGreaterThan(0)
    expect(new Set(statuses).size).toBe(1)
  },
  'a requester without tables is refused'({ create, page, stranger }) {
    const { unit, newFaults } = create()
    expect(ask(unit, { ...page, requester: stranger }, ACCESS.WRITE).status).toBeGreaterThan(0)
    expect(newFaults()).toBe(1)
  },
  'what one requester cached does not serve another'({ create, page, samePageOfOther, stranger }) {
    const { unit } = create()
    const seen = [page, samePageOfOther, page, samePageOfOther].map((one) => ask(unit, one, ACCESS.READ).hpa)
    expect(seen).toStrictEqual([page.hpa, samePageOfOther.hpa, page.hpa, samePageOfOther.hpa])
    expect(ask(unit, { ...page, requester: stranger }, ACCESS.READ).status).toBeGreaterThan(0)
  },
  'a cached right to read is no right to write'({ create, readOnly }) {
    const { unit } = create()
    ask(unit, readOnly, ACCESS.READ)
    expect(ask(unit, readOnly, ACCESS.WRITE).status).toBeGreaterThan(0)
    expect(ask(unit, readOnly, ACCESS.READ).status).toBe(DMA.OK)
  },
  'addresses above all mapped ones are refused, up to the last'({ create, page }) {
    const { unit } = create()
    const last = { requester: page.requester, iova: 0xffff_ffff_ffff_fff8n }
    expect(ask(unit, last, ACCESS.WRITE).status).toBeGreaterThan(0)
    expect(ask(unit, { ...last, iova: 1n << 63n }, ACCESS.READ).status).toBeGreaterThan(0)
  },
  'a 4-byte write to the interrupt window is a message, not a memory access'({ create, page, messageAddress }) {
    const { unit } = create()
    const iova = messageAddress ?? 0xfee0_0000n
    const message = ask(unit, { requester: page.requester, iova }, ACCESS.WRITE, 4)
    expect(message).toMatchObject({ status: DMA.OK, target: TARGET.INTERRUPT, bytes: 4 })
  },
  'explaining ends as translating does, and neither logs nor caches anything'({
    create,
    page,
    samePageOfOther,
    readOnly,
    unmapped,
    stranger,
  }) {
    const { unit, newFaults } = create()
    const cases = [page, samePageOfOther, readOnly, unmapped, { ...page, requester: stranger }]
    const wishes = cases.flatMap((one) => [ACCESS.READ, ACCESS.WRITE].map((access) => ({ one, access })))
    const told = wishes.map(({ one, access }) => unit.explain?.(requestOf(one, access)))
    expect(newFaults()).toBe(0)
    expect(cachedIn(unit)).toBe(0)
    const done = wishes.map(({ one, access }) => ask(unit, one, access))
    expect(told.map((t) => t?.status)).toStrictEqual(done.map((d) => d.status))
    expect(told.map((t) => (t?.status === DMA.OK ? t.hpa : undefined))).toStrictEqual(
      done.map((d) => (d.status === DMA.OK ? d.hpa : undefined)),
    )
  },
  'an explanation names the entries it read, and the words that stand there'({ create, page }) {
    const { unit, memory } = create()
    const told = unit.explain?.(requestOf(page, ACCESS.READ))
    expect(told?.entries.length).toBeGreaterThan(0)
    const words = told?.entries.map(({ hpa, words: said, bigEndian = false }) =>
      said.map((_, i) => wordAt(memory, hpa + 8 * i, !bigEndian)),
    )
    expect(words).toStrictEqual(told?.entries.map((entry) => [...entry.words]))
    expect(told?.entries.every((entry) => entry.name !== '' && entry.verdict !== '')).toBe(true)
  },
  'each reason has words of its own'({ create, page, readOnly, unmapped, stranger }) {
    const { unit } = create()
    const statuses = new Set([
      ask(unit, readOnly, ACCESS.WRITE).status,
      ask(unit, unmapped, ACCESS.READ).status,
      ask(unit, { ...page, requester: stranger }, ACCESS.READ).status,
    ])
    const texts = new Set([...statuses].map((status) => unit.reasonText(status)))
    expect(texts.size).toBe(statuses.size)
    expect([...texts].every((text) => text.length > 3)).toBe(true)
  },
  'claims about its caches name what it translates to'({ create, page }) {
    const { unit } = create()
    ask(unit, page, ACCESS.WRITE)
    const claim = unit.inspect().find((c) => c.kind === 'cached' && page.iova >= c.iova && page.iova < c.iova + c.bytes)
    expect(claim).toMatchObject({ kind: 'cached', write: true })
    expect(claim?.kind === 'cached' && claim.hpa + Number(page.iova - claim.iova)).toBe(page.hpa)
  },
  'two units know nothing of each other'({ create, page, unmapped }) {
    const [a, b] = [create(), create()]
    ask(a.unit, unmapped, ACCESS.WRITE)
    ask(a.unit, page, ACCESS.WRITE)
    expect([a.newFaults(), b.newFaults()]).toStrictEqual([1, 0])
    expect(cachedIn(b.unit)).toBe(0)
  },
  'a storm of faults leaves the unit working'({ create, page, unmapped }) {
    const { unit, newFaults } = create()
    for (let i = 0; i < 3000; i++) ask(unit, { ...unmapped, iova: unmapped.iova + BigInt(i % 7) * 4096n }, ACCESS.WRITE)
    expect(newFaults()).toBeGreaterThan(0)
    expect(ask(unit, page, ACCESS.WRITE)).toMatchObject({ status: DMA.OK, hpa: page.hpa })
  },
  'random tables and random requests end in a translation or a reason, never in an exception'({ create, golden }) {
    const seeds = Array.from({ length: 25 }, (_, i) => i + 1)
    expect(seeds.flatMap((seed) => garbage(create(), golden, seed))).toStrictEqual([])
  },
}

/** Runs the kit. */
export function describeIommuUnit({ name, create, golden, skip: known = {} }: UnitKit): void {
  const unknown = Object.keys(known).filter((title) => !Object.hasOwn(TESTS, title))
  if (unknown.length > 0) throw new Error(`unit kit: no test is called "${unknown[0]}"`)
  describe(`silicon: ${name}`, () => {
    test.for(Object.entries(TESTS))('%s', ([title, run], { skip }) => {
      const reason = known[title]
      if (reason !== undefined) skip(reason)
      expect.hasAssertions()
      run({ create, golden, ...golden })
    })
  })
}

/** Scribbles over the tables and asks for everything. @returns what went wrong, with seed and step */
function garbage({ unit, memory, reread }: UnitRig, golden: GoldenTables, seed: number): string[] {
  const random = new RandomSource(seed)
  const wrong: string[] = []
  for (let step = 0; step < 200; step++) {
    if (random.chance(1, 2)) scribble(memory, golden, random)
    const request = randomRequest(golden, random)
    const complaint = judge(unit, request, reread)
    if (complaint)
      wrong.push(
        `seed ${seed} step ${step}: iova ${hex(request.iova)} requester ${hex(request.requester)}: ${complaint}`,
      )
  }
  return wrong
}
function judge(unit: IommuUnit, request: DmaRequest, reread?: () => void): string | undefined {
  try {
    reread?.()
    unit.explain?.(request)
    const status = unit.translate(request)
    unit.inspect()
    const { bytes } = request.out
    if (status === DMA.OK)
      return bytes > 0 && bytes <= request.length ? undefined : `covers ${bytes} of ${request.length} bytes`
    return status > 0 && unit.reasonText(status) !== '' ? undefined : `status ${status} without a reason`
  } catch (error) {
    return String(error)
  }
}
function randomRequest({ page, samePageOfOther, readOnly, unmapped }: GoldenTables, random: RandomSource): DmaRequest {
  const near = random.pick([page, samePageOfOther, readOnly, unmapped])
  const iova = random.chance(2, 3) ? near.iova + BigInt(random.below(1 << 16)) : randomWord(random)
  const requester = random.chance(3, 4) ? near.requester : random.below(0x1_0000)
  const request = requestOf({ requester, iova }, random.pick(WISHES), 1 + random.below(1 << 14))
  request.noSnoop = random.chance(1, 4)
  request.exec = random.chance(1, 8)
  request.priv = random.chance(1, 8)
  request.translated = random.chance(1, 8)
  if (random.chance(1, 4)) request.pasid = random.below(1 << 20)
  return request
}
const WISHES: readonly Access[] = [ACCESS.READ, ACCESS.WRITE, ACCESS.ATOMIC]

/** Changes a word of a table: one bit of it, or all. */
function scribble(memory: HostMemory, { tables }: GoldenTables, random: RandomSource): void {
  const table = random.pick(tables)
  const used = Array.from({ length: table.bytes / 8 }, (_, i) => table.hpa + 8 * i).filter(
    (hpa) => wordAt(memory, hpa) !== 0n,
  )
  const hpa = used.length > 0 && random.chance(3, 4) ? random.pick(used) : table.hpa + 8 * random.below(table.bytes / 8)
  const word = random.chance(2, 3) ? wordAt(memory, hpa) ^ (1n << BigInt(random.below(64))) : randomWord(random)
  memory.write(hpa, new Uint8Array(BigUint64Array.of(word).buffer))
}
const randomWord = (random: RandomSource): bigint => (BigInt(random.next()) << 32n) | BigInt(random.next())

function wordAt(memory: HostMemory, hpa: number, littleEndian = true): bigint {
  const bytes = new DataView(new ArrayBuffer(8))
  memory.read(hpa, new Uint8Array(bytes.buffer))
  return bytes.getBigUint64(0, littleEndian)
}

function requestOf(
  { requester, iova }: { readonly requester: Bdf; readonly iova: Iova },
  access: Access,
  length = 8,
): DmaRequest {
  const request = new DmaRequest(requester)
  request.iovaHi = Number((iova >> 32n) & 0xffff_ffffn) | 0
  request.iovaLo = Number(iova & 0xffff_ffffn) | 0
  request.length = length
  request.access = access
  return request
}

interface Answer {
  readonly status: number
  readonly hpa: number
  readonly bytes: number
  readonly target: number
}
function ask(
  unit: IommuUnit,
  where: { readonly requester: Bdf; readonly iova: Iova },
  access: Access,
  length = 8,
): Answer {
  const request = requestOf(where, access, length)
  const status = unit.translate(request)
  return { status, hpa: request.out.hpa, bytes: request.out.bytes, target: request.out.target }
}
const cachedIn = (unit: IommuUnit): number => unit.inspect().filter((claim) => claim.kind === 'cached').length
