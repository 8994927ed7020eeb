/** The walk, with every cache in front of it, against a reading of the specification in sixty lines of bigints. */
import { RandomSource } from '@ioasis/testkit'
import { ACCESS, hex } from '@ioasis/core'
import { expect, test } from 'vitest'
import { BareUnit, FULL } from './bare-unit.test-kit.ts'

const TABLES = 0x10_0000
const COUNT = 24
const PERMISSIONS = [0n, 1n, 2n, 3n, 3n, 3n]
const MASK = 0xf_ffff_ffff_f000n

/**
 * What the tables say of an access: where it goes, or that it is refused. A leaf that names its size lies here but once, where
 * software would repeat it: `once` says that it must not be kept.
 */
function reference(
  unit: BareUnit,
  mode: number,
  iova: bigint,
  access: bigint,
): { to: bigint | 'refused'; once?: true } {
  const width = BigInt(12 + 9 * mode)
  if (width < 64n && iova >> width !== 0n) return { to: 'refused' }
  let table = BigInt(TABLES)
  for (let level = mode; ;) {
    const shift = BigInt(12 + 9 * (level - 1))
    const entry = unit.word(Number(table + ((iova >> shift) & 511n) * 8n))
    if ((entry & 1n) === 0n || ((entry >> 61n) & access) !== access || ((entry >> 52n) & 31n) !== 0n)
      return { to: 'refused' }
    const next = Number((entry >> 9n) & 7n)
    const address = entry & MASK
    if ((next === 0 || next === 7) && level === 6) return { to: 'refused' }
    if (next === 0) return { to: ((address >> shift) << shift) | (iova & ((1n << shift) - 1n)) }
    if (next === 7) {
      let size = 12n
      while (size < 52n && (address >> size) & 1n) size++
      size++
      if (size <= shift || size >= shift + 9n) return { to: 'refused' }
      return { to: ((address >> size) << size) | (iova & ((1n << size) - 1n)), once: true }
    }
    if (next >= level) return { to: 'refused' }
    const skippedBits = ((1n << shift) - 1n) & ~((1n << BigInt(12 + 9 * next)) - 1n)
    if (iova & skippedBits) return { to: 'refused' }
    table = address
    level = next
  }
}

/** An entry that mostly leads on, or maps something. */
function randomEntry(random: RandomSource): bigint {
  const kind = random.below(10)
  const bits = (PERMISSIONS[random.below(PERMISSIONS.length)] as bigint) << 61n
  const present = random.below(12) === 0 ? 0n : 1n
  const frame =
    (BigInt(random.below(0x10_0000)) << 12n) | (kind === 9 ? ((1n << BigInt(random.below(14))) - 1n) << 12n : 0n)
  if (kind < 5) {
    const table = BigInt(TABLES + 4096 * random.below(COUNT))
    return bits | present | table | (BigInt(1 + random.below(5)) << 9n)
  }
  return bits | present | frame | (kind === 9 ? 7n << 9n : 0n) | (random.below(40) === 0 ? 1n << 53n : 0n)
}

test('20,000 accesses over changing tables go where the tables say, once changes are invalidated', () => {
  const seed = 20261120
  const random = new RandomSource(seed)
  const unit = new BareUnit(FULL)
  // A handful of indexes at each level, so that accesses meet entries.
  const index = (): number => [0, 1, 2, 511][random.below(4)] as number
  const scribble = (): void => {
    unit.put(TABLES + 4096 * random.below(COUNT) + 8 * index(), randomEntry(random))
  }
  for (let i = 0; i < 400; i++) scribble()
  let mode = 4
  let landed = 0
  for (let step = 0; step < 20_000; step++) {
    if (step % 50 === 0) {
      for (let i = 0; i < 6; i++) scribble()
      mode = 1 + random.below(6)
      unit.device(0x10, (3n << 61n) | BigInt(TABLES) | (BigInt(mode) << 9n) | 3n, 1n)
      unit.command(0x2000_0000_0000_0010n).command(0x3000_0001_0000_0000n, 0x7fff_ffff_ffff_f003n)
    }
    let iova = BigInt(random.below(512)) * 8n
    for (let level = 0; level < mode; level++) iova |= BigInt(index()) << BigInt(12 + 9 * level)
    iova = BigInt.asUintN(64, iova)
    if (iova >> 20n === 0xfeen) continue
    const access = random.below(2) === 0 ? ACCESS.READ : ACCESS.WRITE
    const { to: expected, once } = reference(unit, mode, iova, BigInt(access))
    const { status, hpa } = unit.ask(iova, { access })
    const ours = status === 0 ? BigInt(hpa) : 'refused'
    if (ours !== expected) {
      const what = `seed ${seed}, step ${step}, ${mode} levels: access ${access} at ${hex(iova)}`
      throw new Error(`${what} goes to ${ours}, the tables say ${expected}`)
    }
    if (once) unit.command(0x3000_0001_0000_0000n, 0x7fff_ffff_ffff_f001n)
    if (status === 0) landed++
  }
  expect(landed).toBeGreaterThan(1000)
})
