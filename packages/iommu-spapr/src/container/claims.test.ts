import { VFIO_IOMMU_ENABLE, VFIO_IOMMU_SPAPR_REGISTER_MEMORY, VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY } from '@ioasis/uapi'
import { contradictions } from '@ioasis/testkit'
import type { Claim } from '@ioasis/core'
import { expect, test } from 'vitest'
import { SpaprClaims } from './claims.ts'
import { BUFFER, containerWorld, type ContainerWorld } from './container-world.test-kit.ts'

const REGION = { vaddr: BUFFER, size: 0x4000n }

function registered(): ContainerWorld {
  const world = containerWorld()
  world.answer(VFIO_IOMMU_SPAPR_REGISTER_MEMORY, REGION)
  world.map({ size: 0x2000n })
  return world
}
const claimsOf = ({ backend }: ContainerWorld): readonly Claim[] => new SpaprClaims(backend).claims()
const leaksOf = (world: ContainerWorld): readonly string[] =>
  claimsOf(world).flatMap((claim) => (claim.kind === 'leak' ? [claim.what] : []))
/** What the driver would say that its table maps. */
const mapped = (world: ContainerWorld, index: number): Claim => ({
  kind: 'mapped',
  domain: world.window(),
  unit: 'phb',
  tag: 0,
  iova: BigInt(index) * 4096n,
  bytes: 4096n,
  hpa: world.window().made.get(index)?.hpa ?? 0,
  write: true,
})

test('what entries lead to is kept by registered memory, and nothing else is', () => {
  const world = registered()
  const claims = claimsOf(world)
  expect(contradictions([...claims, mapped(world, 0), mapped(world, 1)])).toEqual([])
  expect(contradictions([...claims, { ...mapped(world, 1), hpa: 0x66_0000 } as Claim])[0]).toMatch(/no source keeps/)
})
test('version 1: each entry is kept by its own pin', () => {
  const world = containerWorld({ v2: false })
  world.answer(VFIO_IOMMU_ENABLE)
  world.map({ size: 0x2000n })
  expect(contradictions([...claimsOf(world), mapped(world, 0), mapped(world, 1)])).toEqual([])
  const stale = mapped(world, 1)
  world.unmap({ iova: 0x1000n })
  expect(contradictions([...claimsOf(world), stale])).toHaveLength(1)
})
test('a window that is empty must stay empty', () => {
  const world = registered()
  const was = mapped(world, 0)
  world.unmap({ size: 0x2000n })
  world.answer(VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, REGION)
  expect(contradictions([...claimsOf(world), was])).toHaveLength(1)
})
test('a region that lost its last user is a known leak, until it is adopted', () => {
  const world = registered()
  expect(leaksOf(world)).toEqual([])
  world.answer(VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, REGION)
  expect(leaksOf(world)).toEqual(['4 pages registered at 10000000000 that nobody can unregister'])
  world.answer(VFIO_IOMMU_SPAPR_REGISTER_MEMORY, REGION)
  expect(leaksOf(world)).toEqual([])
})
test('charges are the windows and what was lost', () => {
  const world = registered()
  const counts = claimsOf(world).flatMap((claim) => (claim.kind === 'count' ? [[claim.actual, claim.expected]] : []))
  expect(counts).toEqual([[512, 512]])
})
