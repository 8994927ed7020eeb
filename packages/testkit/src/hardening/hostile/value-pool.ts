/** What arguments are drawn from: values that calls took and gave, structs as they were passed, and boundaries. */
import type { RandomSource } from '../../random-source.ts'
import { loadInteger, storeInteger } from '../../traces/payload.ts'
import type { Command } from './commands.ts'

/** A struct as it was passed. */
export interface PassedStruct {
  /** The struct and some of what followed. */
  readonly bytes: Uint8Array
  /** What lay where a member pointed. */
  readonly payload: Uint8Array
  /** Number of the process: ids of another one mean nothing. */
  readonly process: number
}

const MOST_VALUES = 12
const MOST_STRUCTS = 12
const BOUNDARIES: readonly bigint[] = [
  0n,
  1n,
  2n,
  3n,
  7n,
  8n,
  0x800n,
  0xfffn,
  0x1000n,
  0x1001n,
  0x2000n,
  0x1_0000n,
  0x20_0000n,
  1n << 30n,
  (1n << 31n) - 1n,
  1n << 31n,
  (1n << 32n) - 1n,
  1n << 32n,
  0xfee0_0000n,
  1n << 39n,
  (1n << 47n) - 0x1000n,
  1n << 47n,
  (1n << 48n) - 0x1000n,
  1n << 62n,
  (1n << 63n) - 1n,
  1n << 63n,
  (1n << 64n) - 0x1000n,
  (1n << 64n) - 1n,
]

/** Members of one kind have one name: `out_ioas_id`, `src_ioas_id` and `ioas_id`. */
const kindOf = (member: string): string =>
  member
    .replace(/^(?:out|src|dst)_/, '')
    .replace(/^idev_id$|^devid$/, 'dev_id')
    .replace(/^(?:veventq|fault|access)_fd$/, 'fd')
/** An id of an object or a number of a descriptor: fresh ones are worth more than old ones. */
const isHandle = (member: string): boolean => /(?:^|_)(?:id|fd|iommufd|devid)$/.test(member)

/** Values of one host. */
export class ValuePool {
  /** Counts processes. */
  process = 0
  readonly #values = new Map<string, bigint[]>()
  readonly #passed = new Map<string, { good: PassedStruct[]; bad: PassedStruct[] }>()
  readonly #plain = new Map<string, bigint[]>()
  readonly #ids: bigint[] = []

  /** Another process: ids begin anew. */
  begin(): void {
    this.process++
    for (const name of this.#values.keys()) if (isHandle(name)) this.#values.delete(name)
    this.#ids.length = 0
  }
  /** A call took a struct. @param after the same after the call */
  learn(command: Command, passed: PassedStruct, after: Uint8Array, good: boolean): void {
    const entry = this.#passed.get(command.name) ?? { good: [], bad: [] }
    this.#passed.set(command.name, entry)
    keep(good ? entry.good : entry.bad, passed, MOST_STRUCTS)
    if (!good) return
    if (command.name === 'IOMMU_DESTROY') return this.#forget(loadInteger(after, 4, 4))
    for (const { name, offset, size } of command.call.struct?.fields ?? []) {
      if (size === 0 || size > 8 || name === 'size' || name === 'argsz') continue
      const value = loadInteger(after, offset, size)
      keep(this.#list(`${command.name}.${name}`), value, MOST_VALUES)
      keep(this.#list(kindOf(name)), value, MOST_VALUES)
      if (name.endsWith('_id') && value !== 0n) keep(this.#ids, value, 4 * MOST_VALUES)
    }
  }
  /** A call took a plain number or an address. */
  learnPlain(command: Command, arg: bigint): void {
    const list = this.#plain.get(command.name) ?? []
    this.#plain.set(command.name, list)
    keep(list, arg, MOST_VALUES)
  }
  /** An argument of a call without a struct. */
  plain(command: Command, random: RandomSource): bigint {
    const list = this.#plain.get(command.name)
    return list && list.length > 0 && random.chance(9, 10) ? random.pick(list) : random.pick(BOUNDARIES)
  }
  /** A struct that was passed before, with handles that may be alive; undefined: there was none. */
  struct(command: Command, random: RandomSource): PassedStruct | undefined {
    const entry = this.#passed.get(command.name)
    if (!entry) return undefined
    const { good, bad } = entry
    const list = bad.length === 0 || (good.length > 0 && random.chance(9, 10)) ? good : bad
    const mine = list.filter(({ process }) => process === this.process)
    const found = random.pick(mine.length > 0 ? mine : list)
    const bytes = found.bytes.slice()
    if (found.process !== this.process || command.name === 'IOMMU_DESTROY') this.#freshen(command, bytes, random)
    return { ...found, bytes }
  }
  /** Changes a member. */
  mutate({ name, call }: Command, bytes: Uint8Array, descriptors: readonly number[], random: RandomSource): void {
    const fields = (call.struct?.fields ?? []).filter(({ size }) => size > 0 && size <= 8)
    if (fields.length === 0) return
    const field = random.pick(fields)
    const old = loadInteger(bytes, field.offset, field.size)
    storeInteger(bytes, field.offset, field.size, this.#another(name, field.name, old, descriptors, random))
  }

  #another(command: string, member: string, old: bigint, descriptors: readonly number[], random: RandomSource): bigint {
    switch (random.below(8)) {
      case 0:
        return random.pick(BOUNDARIES)
      case 1:
        return old ^ (1n << BigInt(random.below(64)))
      case 2:
        return old + random.pick([1n, -1n, 0x1000n, -0x1000n, 0x20_0000n])
      case 3:
        return BigInt(random.below(24))
      case 4:
        return BigInt(descriptors.length > 0 ? random.pick(descriptors) : -1)
      case 5:
        return this.#ids.length > 0 ? random.pick(this.#ids) : 1n
      default:
        return this.#like(command, member, random) ?? random.pick(BOUNDARIES)
    }
  }
  #like(command: string, member: string, random: RandomSource): bigint | undefined {
    const own = this.#values.get(`${command}.${member}`)
    const others = this.#values.get(kindOf(member))
    const list = own && own.length > 0 && (!others || random.chance(1, 2)) ? own : others
    return list && list.length > 0 ? random.pick(list) : undefined
  }
  #freshen({ name, call }: Command, bytes: Uint8Array, random: RandomSource): void {
    for (const field of call.struct?.fields ?? []) {
      if (!isHandle(field.name) || field.size > 8 || field.name.startsWith('out_')) continue
      const value =
        (name === 'IOMMU_DESTROY' && this.#ids.length > 0 ? random.pick(this.#ids) : undefined) ??
        this.#like(name, field.name, random)
      if (value !== undefined) storeInteger(bytes, field.offset, field.size, value)
    }
  }
  #forget(id: bigint): void {
    for (const list of [this.#ids, ...this.#values.values()]) {
      for (let at = list.indexOf(id); at >= 0; at = list.indexOf(id)) list.splice(at, 1)
    }
  }
  #list(name: string): bigint[] {
    let list = this.#values.get(name)
    if (!list) this.#values.set(name, (list = []))
    return list
  }
}

function keep<T>(list: T[], value: T, most: number): void {
  list.push(value)
  if (list.length > most) list.shift()
}
