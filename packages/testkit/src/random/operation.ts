/**
 * One random operation as four numbers. They are read against the state at hand ("the third of the domains there are"), so
 * that any part of a list of operations is a list of operations: what makes shrinking simple.
 */
import { RandomSource } from '../random-source.ts'

/** What an operation does. */
export type OperationKind = 'map' | 'unmap' | 'dma' | 'attach' | 'block' | 'create' | 'free' | 'plug'

/** Kind, and numbers from 0 to 2^32-1 that choose among what there is. */
export interface Operation {
  readonly kind: OperationKind
  readonly a: number
  readonly b: number
  readonly c: number
}

/** How often each kind comes, out of 32. */
const SHARES: Readonly<Record<OperationKind, number>> = {
  map: 9,
  unmap: 6,
  dma: 10,
  attach: 2,
  block: 1,
  create: 2,
  free: 1,
  plug: 1,
}
const LOTS: readonly OperationKind[] = (Object.keys(SHARES) as OperationKind[]).flatMap((kind) =>
  Array.from({ length: SHARES[kind] }, () => kind),
)

/** The operations of a seed. */
export function drawOperations(seed: number, steps: number): readonly Operation[] {
  const random = new RandomSource(seed)
  return Array.from({ length: steps }, () => ({
    kind: random.pick(LOTS),
    a: random.next(),
    b: random.next(),
    c: random.next(),
  }))
}
