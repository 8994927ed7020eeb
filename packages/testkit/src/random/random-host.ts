/** A world and its reference model side by side: each operation is done to both, and the two must stay equal. */
import {
  type Claim,
  DMA,
  type Domain,
  flushGather,
  hex,
  type Hpa,
  type Iova,
  type IovaRange,
  type PagingDomain,
} from '@ioasis/core'
import { RW } from '../driver-kit/fixture.ts'
import type { DriverWorld, WorldDevice } from '../driver-kit/world.ts'
import { FlatDomain } from '../flat-domain.ts'
import { type FlatAttachment, FlatHost } from '../flat-host.ts'
import type { Operation, OperationKind } from './operation.ts'
import { TargetPool } from './target-pool.ts'

interface Pair {
  readonly name: string
  readonly real: PagingDomain
  readonly flat: FlatDomain
}
const MAX_DOMAINS = 4
const LARGE = 0x20_0000n
/** Bytes of a long transfer. */
const LONG = 0x1800
/** Pages of a zone in which ranges are drawn. */
const ZONE_PAGES = 48
/** Slots on bus 0 where functions come and go. */
const SLOTS: readonly number[] = [9, 10, 11]
const PROTS = [RW, RW, RW, { read: true, write: false }] as const

/** What an operation turned out to do; the first word of what it is told as. */
export type RandomDeed =
  | 'map'
  | 'unmap'
  | 'read'
  | 'write'
  | 'attach'
  | 'replace'
  | 'block'
  | 'create'
  | 'free'
  | 'plug'
  | 'unplug'

/** The pair of world and model. */
export class RandomHost {
  readonly world: DriverWorld
  /** What the last operation did, in words; empty: it had nothing to do. */
  did = ''
  /** How often each was done. */
  readonly counts: Record<RandomDeed, number> = {
    map: 0,
    unmap: 0,
    read: 0,
    write: 0,
    attach: 0,
    replace: 0,
    block: 0,
    create: 0,
    free: 0,
    plug: 0,
    unplug: 0,
  }
  readonly #model = new FlatHost()
  readonly #pool: TargetPool
  readonly #pairs: Pair[] = []
  readonly #attached = new Map<WorldDevice, Domain>()
  readonly #plugged = new Map<number, WorldDevice>()
  readonly #page: bigint
  readonly #does: Readonly<Record<OperationKind, (operation: Operation) => IovaRange | undefined>> = {
    map: (operation) => this.#map(operation),
    unmap: (operation) => this.#unmap(operation),
    dma: (operation) => this.#dma(operation),
    attach: (operation) => this.#attachTo(operation, this.#pick(this.#pairs, operation.b)),
    block: (operation) => this.#attachTo(operation, undefined),
    create: (operation) => this.#create(operation),
    free: (operation) => this.#free(operation),
    plug: (operation) => this.#plug(operation),
  }
  #made = 0
  #byte = 0

  constructor(world: DriverWorld) {
    this.world = world
    this.#page = BigInt(world.variant.pageSize)
    this.#pool = new TargetPool(world)
    for (const device of world.devices) this.#arrived(device)
  }

  /**
   * Does one operation.
   * @returns the range it touched, if it touched any
   * @throws Error when world and model differ
   */
  apply(operation: Operation): IovaRange | undefined {
    this.did = ''
    const touched = this.#does[operation.kind](operation)
    if (this.did !== '') this.counts[this.did.split(' ', 1)[0] as RandomDeed]++
    return touched
  }

  /** What keeps the mapped pages: the model's pages in a full audit, the whole pool in one of a step. */
  claims(near?: IovaRange): readonly Claim[] {
    const { first, bytes } = this.#pool
    return this.#pairs.flatMap(({ real, flat }): Claim[] => {
      if (near) return [{ kind: 'kept', domain: real, source: 'pin', hpa: first, bytes: BigInt(bytes) }]
      return flat.targets().map((hpa) => ({ kind: 'kept', domain: real, source: 'pin', hpa, bytes: this.#page }))
    })
  }
  /** Detaches and frees everything. */
  end(): void {
    for (const device of this.#plugged.values()) this.world.unplug(device)
    for (const device of this.world.devices) device.iommu.attach(device.iommu.blocked, this.#how(device))
    for (const { real } of this.#pairs) real.free()
    this.#pool.free()
  }

  #map({ a, b, c }: Operation): IovaRange | undefined {
    const pair = this.#pick(this.#pairs, c)
    if (!pair) return undefined
    const large = b % 16 === 0
    const pages = 1 + ((b >>> 8) % 8)
    const runs = large ? this.#pool.large(a) : this.#pool.runs(pages, a, b)
    const bytes = large ? LARGE : BigInt(pages) * this.#page
    const first = large ? this.#zone(pair, 1) : this.#iova(pair, a, bytes)
    if (pair.flat.overlaps(first, bytes)) return undefined
    const prot = PROTS[(c >>> 16) % 4] as (typeof PROTS)[number]
    this.did = `map ${pair.name} ${hex(first)} +${hex(bytes)} to ${hex(runs.hpa[0] as number)}${prot.write ? '' : ' read-only'}`
    pair.real.map(first, runs, prot)
    pair.flat.map(first, runs, prot)
    return this.#seen(pair, first, bytes)
  }
  #unmap({ a, b, c }: Operation): IovaRange | undefined {
    const pair = this.#pick(this.#pairs, c)
    if (!pair) return undefined
    const large = b % 8 === 0
    const bytes = large ? LARGE : BigInt(1 + ((b >>> 8) % 16)) * this.#page
    const first = large ? this.#zone(pair, 1) : this.#iova(pair, a, bytes)
    this.did = `unmap ${pair.name} ${hex(first)} +${hex(bytes)}`
    const gather = flushGather()
    const found = pair.real.unmap(first, bytes, gather)
    pair.real.sync(gather)
    same('bytes unmapped', found, pair.flat.unmap(first, bytes))
    return this.#seen(pair, first, bytes)
  }
  /** The tables' own answer at both ends and in the middle, and what DMA finds there. */
  #seen({ name, real, flat }: Pair, first: Iova, bytes: bigint): IovaRange {
    const middle = first + ((bytes / this.#page) >> 1n) * this.#page
    for (const at of [first, middle, first + bytes - 1n])
      same(`${name} look-up of ${hex(at)}`, real.lookup(at), flat.lookup(at))
    for (const device of this.world.devices) {
      if (this.#attached.get(device) === real) this.#transfer(device, middle, 4, (first & this.#page) !== 0n)
    }
    return { first, last: first + bytes - 1n }
  }

  #dma({ a, b, c }: Operation): IovaRange | undefined {
    const device = this.#pick(this.world.devices, c)
    if (!device) return undefined
    const to = this.#model.attachment(device.requester)
    const pair = this.#pairs.find((p) => p.flat === to) ?? this.#pick(this.#pairs, c >>> 4)
    const length = b % 16 === 0 ? LONG : 1 + ((b >>> 4) % 64)
    const through = to === 'identity' || !pair
    const first = through
      ? BigInt(this.#pool.first) + BigInt(a % (this.#pool.bytes - length))
      : this.#iova(pair, a, 3n * this.#page) + BigInt((b >>> 12) % Number(this.#page))
    const write = (c & 0x80) !== 0
    this.did = `${write ? 'write' : 'read'} ${hex(length)} bytes at ${hex(first)} by ${hex(device.requester)}`
    this.#transfer(device, first, length, write)
    return { first, last: first + BigInt(length) - 1n }
  }
  #transfer(device: WorldDevice, iova: Iova, length: number, write: boolean): void {
    const parts = this.#expected(device, iova, length, write)
    const bytes = new Uint8Array(length)
    const seed = this.#byte++
    if (write) for (let i = 0; i < length; i++) bytes[i] = seed + i
    const status = write ? device.port.write(iova, bytes) : device.port.read(iova, bytes)
    const done = parts.reduce((sum, p) => sum + p.bytes, 0)
    const what = `${write ? 'write' : 'read'} at ${hex(iova)} by ${hex(device.requester)}`
    same(`${what}: refused`, status !== DMA.OK, done < length)
    same(`${what}: bytes moved`, device.port.transferred, done)
    let at = 0
    for (const p of parts) {
      if (write) this.#pool.stored(p.hpa, bytes.subarray(at, at + p.bytes))
      else
        sameBytes(
          `${what}: data from ${hex(p.hpa)}`,
          bytes.subarray(at, at + p.bytes),
          this.#pool.expected(p.hpa, p.bytes),
        )
      at += p.bytes
    }
    if (!write) return
    for (const p of parts)
      sameBytes(
        `${what}: memory at ${hex(p.hpa)}`,
        this.#pool.actual(p.hpa, p.bytes),
        this.#pool.expected(p.hpa, p.bytes),
      )
  }
  /** Where the model says that a transfer goes, page by page, up to the first refusal. */
  #expected(
    device: WorldDevice,
    iova: Iova,
    length: number,
    write: boolean,
  ): { readonly hpa: Hpa; readonly bytes: number }[] {
    const parts: { hpa: Hpa; bytes: number }[] = []
    for (let done = 0; done < length;) {
      const at = iova + BigInt(done)
      const hpa = this.#model.lands(device.requester, at, write)
      if (hpa === undefined) break
      const bytes = Math.min(length - done, Number(this.#page - (at % this.#page)))
      parts.push({ hpa, bytes })
      done += bytes
    }
    return parts
  }

  #attachTo({ a }: Operation, pair: Pair | undefined): undefined {
    const device = this.#pick(this.world.devices, a)
    if (!device) return
    const { identity, blocked } = device.iommu
    const domain = pair?.real ?? (a & 0x100 && identity ? identity : blocked)
    const old = this.#pairs.find(({ real }) => real === this.#attached.get(device))
    const where = pair?.name ?? domain.type
    if (old && domain.type !== 'blocked') this.did = `replace ${old.name} by ${where} for ${hex(device.requester)}`
    else this.did = `${domain.type === 'blocked' ? 'block' : `attach to ${where}:`} ${hex(device.requester)}`
    if (device.iommu.attach(domain, this.#how(device)) === 'incompatible') return
    this.#attached.set(device, domain)
    this.#model.attach(device.requester, pair?.flat ?? (domain.type as FlatAttachment))
  }
  #create({ a }: Operation): undefined {
    const device = this.#pick(this.world.devices, a)
    if (!device?.iommu.paging || this.#pairs.length >= MAX_DOMAINS) return
    const name = `domain ${++this.#made}`
    this.did = `create ${name}`
    this.#pairs.push({ name, real: device.iommu.paging.alloc({}), flat: new FlatDomain(Number(this.#page)) })
  }
  #free({ a }: Operation): undefined {
    const pair = this.#pick(this.#pairs, a)
    if (!pair || this.#model.users(pair.flat).length > 0) return
    this.did = `free ${pair.name}`
    pair.real.free()
    this.#pairs.splice(this.#pairs.indexOf(pair), 1)
  }
  #plug({ a }: Operation): undefined {
    const slot = SLOTS[a % SLOTS.length] as number
    const gone = this.#plugged.get(slot)
    this.did = `${gone ? 'unplug' : 'plug'} slot ${slot}`
    if (!gone) {
      const device = this.world.plug(slot)
      this.#plugged.set(slot, device)
      this.#arrived(device)
      return
    }
    this.world.unplug(gone)
    this.#plugged.delete(slot)
    this.#attached.delete(gone)
    this.#model.remove(gone.requester)
  }
  #arrived(device: WorldDevice): void {
    const { defaultDomain } = device.iommu
    this.#attached.set(device, defaultDomain)
    const { type } = defaultDomain
    this.#model.attach(
      device.requester,
      type === 'identity' || type === 'blocked' ? type : new FlatDomain(Number(this.#page)),
    )
  }
  #how(device: WorldDevice): { readonly replacing: Domain } {
    return { replacing: this.#attached.get(device) ?? device.iommu.defaultDomain }
  }

  /** Three zones: low, aligned to a large page, and at the end of the aperture. */
  #zone({ real }: Pair, n: number): Iova {
    const { first, last } = real.aperture
    if (n === 2) return last + 1n - BigInt(ZONE_PAGES) * this.#page
    const start = (first + 4n * LARGE - 1n) & ~(2n * LARGE - 1n)
    return start + BigInt(n) * 4n * LARGE
  }
  #iova(pair: Pair, a: number, bytes: bigint): Iova {
    const zone = (a >>> 8) % 3
    const room = BigInt(zone === 1 ? Number(LARGE / this.#page) : ZONE_PAGES) - bytes / this.#page
    return this.#zone(pair, zone) + (BigInt(a >>> 12) % (room + 1n)) * this.#page
  }
  #pick<T>(list: readonly T[], n: number): T | undefined {
    return list[n % list.length]
  }
}

function same(what: string, actual: unknown, expected: unknown): void {
  if (actual !== expected) throw new Error(`${what}: ${show(actual)} instead of ${show(expected)}`)
}
function sameBytes(what: string, actual: Uint8Array, expected: Uint8Array): void {
  const at = actual.findIndex((byte, i) => byte !== expected[i])
  if (at >= 0) same(`${what}, byte ${at}`, actual[at], expected[at])
}
const show = (value: unknown): string =>
  typeof value === 'bigint' || typeof value === 'number' ? hex(value) : String(value)
