import { bdf, type Bdf, type PciFunction } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { coveredBy, coveredById, lists, type Scope } from './scope.ts'

const fn = (id: Bdf, parent?: PciFunction, secondary?: number): PciFunction =>
  ({ segment: 0, bdf: id, parent, ...(secondary && { bridge: { secondary, subordinate: secondary } }) }) as PciFunction

const port = fn(bdf(0, 0x1c, 4), undefined, 1)
const bridge = fn(bdf(1, 0, 0), port, 2)
const far = fn(bdf(2, 3, 0), bridge)
const near = fn(bdf(0, 2, 0))
const unit = (name: string, scope: Scope, segment = 0): { name: string; scope: Scope; segment: number } => ({
  name,
  scope,
  segment,
})
const path = (bus: number, ...steps: readonly (readonly [number, number])[]) => ({
  kind: 'endpoint' as const,
  bus,
  path: steps.map(([device, f]) => ({ device, function: f })),
})

describe('a scope lists', () => {
  test('a function by its id, and not its neighbour', () => {
    expect(lists([bdf(0, 2, 0)], near)).toBe(true)
    expect(lists([bdf(0, 2, 1)], near)).toBe(false)
  })
  test('everything behind a bridge', () => {
    expect(lists([bdf(0, 0x1c, 4)], far)).toBe(true)
    expect(lists([bdf(1, 0, 0)], far)).toBe(true)
    expect(lists([bdf(1, 0, 0)], port)).toBe(false)
  })
  test('a function at the end of a path through bridges', () => {
    expect(lists([path(0, [0x1c, 4], [0, 0], [3, 0])], far)).toBe(true)
    expect(lists([path(0, [0x1c, 4], [0, 0], [3, 1])], far)).toBe(false)
    expect(lists([path(0, [0x1c, 4], [0, 0])], far)).toBe(true)
  })
  test('a function behind bridges by one step on its own bus', () => {
    expect(lists([path(2, [3, 0])], far)).toBe(true)
  })
})

describe('the unit of a function', () => {
  const units = [unit('rest', 'all'), unit('graphics', [bdf(0, 2, 0)]), unit('elsewhere', 'all', 1)]

  test('is the one that lists it, then the one that takes the rest', () => {
    expect(coveredBy(units, near)?.name).toBe('graphics')
    expect(coveredBy(units, far)?.name).toBe('rest')
  })
  test('is none when nobody names it', () => {
    expect(coveredBy([unit('graphics', [bdf(0, 2, 0)])], far)).toBeUndefined()
  })
  test('is of its own segment', () => {
    expect(coveredBy(units, { ...near, segment: 1 })?.name).toBe('elsewhere')
  })
})

describe('the unit of a requester id', () => {
  const units = [unit('rest', 'all'), unit('behind', [bdf(0, 0x1c, 4)])]
  const machine = [port, bridge, far, near]

  test('that a bridge makes up is the one of the bridge', () => {
    expect(coveredById(units, 0, bdf(2, 0, 0), machine)?.name).toBe('behind')
  })
  test('of a function that is just being added is found by its bus', () => {
    expect(coveredById(units, 0, bdf(2, 9, 0), machine)?.name).toBe('behind')
    expect(coveredById([unit('one', [bdf(0, 9, 0)])], 0, bdf(0, 9, 0), machine)?.name).toBe('one')
  })
  test('on the root bus is the one that takes the rest', () => {
    expect(coveredById(units, 0, bdf(0, 5, 0), machine)?.name).toBe('rest')
  })
  test('of a virtual function is that of its physical one, wherever it stands', () => {
    const virtual = { ...fn(bdf(1, 0x10, 0)), virtfn: { physfn: near, index: 0 } } as PciFunction
    const named = [...units, unit('graphics', [near.bdf])]
    expect(coveredBy(named, virtual)?.name).toBe('graphics')
    expect(coveredById(named, 0, virtual.bdf, [...machine, virtual])?.name).toBe('graphics')
  })
})
