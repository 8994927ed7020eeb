/** Random entries, kills and accesses on random windows, against a map from entry to page. */
import type { DmaWindow, TceAccess } from '@ioasis/core'
import { audit, RandomSource } from '@ioasis/testkit'
import { describe, expect, test } from 'vitest'
import { type PowerMachine, powernv, pseries } from './power-machine.test-kit.ts'

const STEPS = 400
const SHAPES = [
  { pageShift: 12, bytes: 1n << 30n, levels: 1 },
  { pageShift: 12, bytes: 1n << 36n, levels: 2 },
  { pageShift: 16, bytes: 1n << 40n, levels: 3 },
  { pageShift: 21, bytes: 1n << 44n, levels: 3 },
] as const

interface Entry {
  readonly hpa: number
  readonly access: TceAccess
}

/** @returns what went wrong, with its step */
function run(machine: PowerMachine, slot: number, shape: (typeof SHAPES)[number], seed: number): readonly string[] {
  const random = new RandomSource(seed)
  machine.claim()
  const window = machine.window(slot, shape.pageShift, shape.bytes, shape.levels)
  const page = 2 ** shape.pageShift
  const pages = Array.from({ length: 4 }, () => machine.page(page))
  // Few entries, far apart, so that levels are shared and not.
  const places = Array.from({ length: 12 }, () => Math.floor((random.next() / 2 ** 32) * window.entries))
  const model = new Map<number, Entry>()
  const wrong: string[] = []
  for (let step = 0; step < STEPS; step++) {
    const index = random.pick(places)
    const complaint = random.chance(1, 2) ? change(index) : reach(index)
    if (complaint) wrong.push(`seed ${seed} step ${step} entry ${index}: ${complaint}`)
  }
  return [...wrong, ...audit(machine.host).violations]

  function change(index: number): string | undefined {
    const access = random.pick<TceAccess>([0, 1, 3])
    const hpa = access === 0 ? 0 : random.pick(pages)
    const old = model.get(index)
    const told = window.exchange(index, hpa, access)
    window.kill(index, 1)
    if (access === 0) model.delete(index)
    else model.set(index, { hpa, access })
    if (told !== (old?.access ?? 0)) return `told access ${told} instead of ${old?.access ?? 0}`
    return told !== 0 && window.oldHpa !== old?.hpa ? 'told another target' : undefined
  }
  function reach(index: number): string | undefined {
    const offset = random.below(page / 4) * 4
    const at = addressOf(window, index) + BigInt(offset)
    const value = 1 + random.below(255)
    const entry = model.get(index)
    const done = machine.write(at, value) === 0
    if (done !== (entry?.access === 3)) return done ? 'a write landed' : 'a write was refused'
    if (done && machine.byteAt((entry as Entry).hpa + offset) !== value) return 'a write landed elsewhere'
    const readable = machine.read(at) >= 0
    return readable === (entry !== undefined) ? undefined : 'reading is not as the entry says'
  }
}
const addressOf = (window: DmaWindow, index: number): bigint =>
  window.first + (BigInt(index) << BigInt(window.pageShift))

describe.each([1, 2, 3])('seed %i', (seed) => {
  test.each(SHAPES)('powernv, $levels levels, pages of 2^$pageShift', (shape) => {
    expect(run(powernv({ personality: 'qemu' }), 1, shape, seed)).toEqual([])
  })
  test.each([
    [0, SHAPES[0]],
    [1, { pageShift: 16, bytes: 1n << 40n, levels: 1 }],
    [1, { pageShift: 24, bytes: 1n << 44n, levels: 1 }],
  ])('pseries, slot %i, %o', (slot, shape) => {
    expect(run(pseries(), slot, shape as (typeof SHAPES)[number], seed)).toEqual([])
  })
})
