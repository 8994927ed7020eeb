/**
 * Two tables deep: a guest maps in its first stage, the host in the guest's memory, both at random, and what DMA reaches is
 * compared with two flat maps, byte for byte, the audit after every step.
 */
import { DMA, flushGather, type Hpa, hex, type IovaRange, pageRuns, Memory, Pages } from '@ioasis/core'
import type { PageTable } from '@ioasis/page-table'
import { mustBeSound, RandomSource, SteppedAudit } from '@ioasis/testkit'
import { expect, test } from 'vitest'
import { DATA_PAGES, Guest, nestingWorld, TABLE_PAGES } from './guest.test-kit.ts'
import type { AmdNestedDomain } from './driver/nested-domain.ts'
import { type AmdOptions, type Command, CommandBuffer } from './index.ts'

const PAGE = 4096
const LARGE_PAGES = 512
/** Where a process maps: small pages first, then large ones. */
const BASE = 0x7f00_0000_0000n
const SMALL = 2048
const SPAN = 2 * SMALL

interface Target {
  readonly gpa: number
  readonly write: boolean
}
/** A process of the guest: its table, the model's, and the first stage. */
interface Space {
  readonly table: PageTable
  readonly flat: Map<number, Target>
  readonly domain: AmdNestedDomain
}

class Run {
  readonly world
  readonly guest: Guest
  readonly spaces: readonly Space[]
  readonly counts: Record<string, number> = {}
  /** What the last step was about, as iovas of what the function is attached to; undefined: no address. */
  touched: IovaRange | undefined
  readonly #random: RandomSource
  /** Pages of the guest that may be written. */
  readonly #writable: boolean[]
  /** Pages that something happened to: DMA goes there more often than elsewhere. */
  readonly #recent: number[] = []
  #space: Space | 'parent' | 'blocked' = 'blocked'

  constructor(seed: number, lag: boolean, options: AmdOptions = {}) {
    this.#random = new RandomSource(seed)
    this.world = nestingWorld({ pageSize: 4096, units: 1, lag }, options)
    this.guest = new Guest(this.world)
    this.#writable = this.guest.backing.map(() => true)
    this.spaces = [5, 6].map((id) => {
      const table = this.guest.table()
      return { table, flat: new Map<number, Target>(), domain: this.guest.first(this.guest.dte(table, id)) }
    })
    this.#attach()
  }

  step(): void {
    this.touched = undefined
    const pick = this.#random.below(20)
    if (pick < 4) this.#map()
    else if (pick < 6) this.#unmap()
    else if (pick < 8) this.#host()
    else if (pick === 8) this.#attach()
    else this.#dma()
  }
  end(): void {
    const { guest, world } = this
    guest.device.attach(guest.device.blocked, {})
    for (const { domain } of this.spaces) domain.free()
    guest.viommu.destroy()
    guest.parent.free()
    mustBeSound(world.host)
    world.close()
  }

  #touched(page: number): void {
    this.#recent.push(page)
    if (this.#recent.length > 12) this.#recent.shift()
    this.#about(page, 1)
  }
  /** Pages of a process. */
  #about(page: number, pages: number): void {
    const first = BASE + BigInt(page * PAGE)
    this.touched = { first, last: first + BigInt(pages * PAGE) - 1n }
  }
  /** A page of the guest: where a process maps it, or else in the parent. */
  #aboutGuestPage(page: number): void {
    for (const { flat } of this.spaces) for (const [at, { gpa }] of flat) if (gpa === page) return this.#about(at, 1)
    this.touched = { first: BigInt(page * PAGE), last: BigInt((page + 1) * PAGE - 1) }
  }
  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }
  #map(): void {
    const { flat, table } = this.#random.pick(this.spaces)
    const large = this.#random.chance(1, 10)
    const pages = large ? LARGE_PAGES : 1 + this.#random.below(6)
    const slot = this.#random.below(SMALL / LARGE_PAGES)
    const at = large ? SMALL + slot * LARGE_PAGES : this.#random.below(SMALL - pages)
    for (let i = 0; i < pages; i++) if (flat.has(at + i)) return
    const gpa = large ? this.#random.below(2) * LARGE_PAGES : this.#random.below(DATA_PAGES - pages)
    const write = this.#random.chance(3, 4)
    table.map(BASE + BigInt(at * PAGE), pageRuns([gpa * PAGE, pages * PAGE]), { read: true, write })
    for (let i = 0; i < pages; i++) flat.set(at + i, { gpa: gpa + i, write })
    this.#touched(at + this.#random.below(pages))
    this.#about(at, pages)
    this.#count(large ? 'map a large page' : 'map')
  }
  #unmap(): void {
    const { flat, table, domain } = this.#random.pick(this.spaces)
    const whole = this.#random.chance(1, 4)
    const again = this.#random.chance(1, 2) ? this.#recent.at(-1 - this.#random.below(12)) : undefined
    const pages = whole ? LARGE_PAGES : 1 + this.#random.below(8)
    const slot = this.#random.below(SPAN / LARGE_PAGES) * LARGE_PAGES
    const at = whole ? slot : Math.min(SPAN - pages, again ?? this.#random.below(SPAN - pages))
    const gather = flushGather()
    let expected = 0
    for (let i = 0; i < pages; i++) {
      if (!flat.delete(at + i)) continue
      expected++
      if (i === 0 || this.#random.chance(1, 4)) this.#touched(at + i)
    }
    this.#about(at, pages)
    const removed = table.unmap(BASE + BigInt(at * PAGE), BigInt(pages * PAGE), gather)
    if (removed !== BigInt(expected * PAGE)) throw new Error(`unmapped ${removed} bytes instead of ${expected} pages`)
    if (expected > 0) this.guest.invalidate(domain)
    table.release(gather)
    this.#count(expected > 0 ? 'unmap' : 'unmap nothing')
  }
  /** Any, or one that a process maps where DMA goes. */
  #guestPage(): number {
    const { flat } = this.#random.pick(this.spaces)
    const mapped = flat.get(this.#recent.at(-1 - this.#random.below(12)) ?? 0)
    return mapped && this.#random.chance(1, 2) ? mapped.gpa : this.#random.below(DATA_PAGES + TABLE_PAGES)
  }
  /** The host takes a page of the guest's data away, gives one, or moves a page that holds tables. */
  #host(): void {
    const { guest, world } = this
    const pages = world.host.get(Pages)
    const memory = world.host.get(Memory)
    const page = this.#guestPage()
    const old = guest.backing[page]
    this.#aboutGuestPage(page)
    const gather = flushGather()
    if (old === undefined) {
      const write = (this.#writable[page] = this.#random.chance(3, 4))
      guest.give(page, pages.alloc(PAGE, 'guest memory'), write)
      return this.#count('give')
    }
    const bytes = new Uint8Array(PAGE)
    memory.read(old, bytes)
    guest.parent.unmap(BigInt(page * PAGE), BigInt(PAGE), gather)
    guest.parent.sync(gather)
    guest.backing[page] = undefined
    pages.free(old, PAGE)
    if (page < DATA_PAGES && this.#random.chance(1, 2)) return this.#count('take')
    const now = pages.alloc(PAGE, 'guest memory')
    memory.write(now, bytes)
    guest.give(page, now, this.#writable[page] as boolean)
    this.#count(page < DATA_PAGES ? 'move' : 'move tables')
  }
  #attach(): void {
    const { device, parent } = this.guest
    const to = this.#random.pick([...this.spaces, ...this.spaces, 'parent', 'blocked'] as const)
    const domain = to === 'parent' ? parent : to === 'blocked' ? device.blocked : to.domain
    if (device.attach(domain, {}) !== 'ok') throw new Error('a domain does not fit')
    this.#space = to
    this.#count(typeof to === 'string' ? to : 'nested')
  }

  #dma(): void {
    const nested = typeof this.#space !== 'string'
    const length = 1 + this.#random.below(this.#random.chance(1, 8) ? 3 * PAGE : 64)
    const end = (nested ? SPAN : DATA_PAGES) * PAGE - length
    const near = this.#recent.length > 0 && this.#random.chance(3, 4)
    const any = near ? this.#random.pick(this.#recent) * PAGE + this.#random.below(PAGE) : this.#random.below(end)
    const first = Math.min(any, end)
    const iova = (nested ? BASE : 0n) + BigInt(first)
    this.touched = { first: iova, last: iova + BigInt(length) - 1n }
    const write = this.#random.chance(1, 2)
    const parts = this.#expected(first, length, write)
    const done = parts.reduce((sum, part) => sum + part.bytes, 0)
    const bytes = Uint8Array.from({ length }, () => (write ? this.#random.below(256) : 0))
    const { port } = this.world.devices[0] as (typeof this.world.devices)[0]
    const status = write ? port.write(iova, bytes) : port.read(iova, bytes)
    const what = `${write ? 'write' : 'read'} of ${length} bytes at ${hex(iova)}`
    if ((status === DMA.OK) !== (done === length) || port.transferred !== done)
      throw new Error(`${what}: status ${hex(status)}, ${port.transferred} bytes instead of ${done}`)
    let at = 0
    for (const { hpa, bytes: count } of parts) {
      const there = new Uint8Array(count)
      this.world.memory.read(hpa, there)
      if (there.some((byte, i) => byte !== bytes[at + i])) throw new Error(`${what}: memory at ${hex(hpa)} differs`)
      at += count
    }
    this.#count(done === length ? 'transfer' : 'refused transfer')
  }
  #expected(first: number, length: number, write: boolean): { readonly hpa: Hpa; readonly bytes: number }[] {
    const parts: { hpa: Hpa; bytes: number }[] = []
    for (let at = first; at < first + length;) {
      const page = Math.floor(at / PAGE)
      const space = this.#space
      const target = typeof space === 'string' ? { gpa: page, write: true } : space.flat.get(page)
      const hpa = target && space !== 'blocked' ? this.guest.backing[target.gpa] : undefined
      if (!target || hpa === undefined || (write && !(target.write && this.#writable[target.gpa]))) break
      const bytes = Math.min(first + length - at, PAGE - (at % PAGE))
      parts.push({ hpa: hpa + (at % PAGE), bytes })
      at += bytes
    }
    return parts
  }
}

test.each([
  { seed: 1, lag: false },
  { seed: 2, lag: true },
])(
  'a guest’s tables on the host’s: 10,000 operations as the model says, seed $seed, lag $lag',
  { timeout: 60_000 },
  ({ seed, lag }) => {
    const run = new Run(seed, lag)
    const audit = new SteppedAudit(run.world.host)
    for (let step = 0; step < 10_000; step++) {
      try {
        run.step()
        audit.step(run.touched)
      } catch (error) {
        throw new Error(`seed ${seed}, step ${step}: ${(error as Error).message}`, { cause: error })
      }
    }
    run.end()
    expect([audit.steps, audit.full]).toEqual([10_000, 39])
    expect(Object.entries(run.counts).filter(([, times]) => times < 50)).toEqual([])
    expect(Object.keys(run.counts).toSorted()).toEqual([
      'blocked',
      'give',
      'map',
      'map a large page',
      'move',
      'move tables',
      'nested',
      'parent',
      'refused transfer',
      'take',
      'transfer',
      'unmap',
      'unmap nothing',
    ])
  },
)

/** Leaves out some commands. */
class Forgetful extends CommandBuffer {
  readonly #forgets: (command: Command) => boolean

  constructor(parts: ConstructorParameters<typeof CommandBuffer>[0], forgets: (command: Command) => boolean) {
    super(parts)
    this.#forgets = forgets
  }
  override submit(commands: readonly Command[]): void {
    super.submit(commands.filter((command) => !this.#forgets(command)))
  }
}

test.each([
  ['what the guest unmapped', (command: Command) => command.kind === 'pages' && command.pasid !== undefined],
  ['what the host took from the guest', (command: Command) => command.kind === 'pages' && command.pasid === undefined],
  ['the entry of a function', (command: Command) => command.kind === 'device'],
])('a flush of %s that is forgotten is noticed', (_what, forgets) => {
  const run = new Run(1, false, { makeQueue: (parts) => new Forgetful(parts, forgets) })
  expect(() => {
    for (let step = 0; step < 8000; step++) run.step()
  }).toThrow(/status|memory at/)
})
