import { expect, test } from 'vitest'
import { RandomSource } from '../random-source.ts'
import { fakeMachine, OPEN, scenarioOf } from './fake-host.test-kit.ts'
import { mutateTraces } from './mutate-traces.ts'
import { playTraces } from './play-traces.ts'

const alloc = {
  src: 'IOMMU_IOAS_ALLOC @iommu',
  in: { fd: '@iommu', size: 12, flags: 0 },
  out: { out_ioas_id: 1 },
}

test('every altered value of a step that agreed is noticed', () => {
  const outcomes = playTraces([scenarioOf(OPEN, alloc)], { make: () => fakeMachine() })
  expect(mutateTraces(outcomes, 200, new RandomSource(7))).toEqual({ tried: 200, noticed: 200, missed: [] })
})

test('values of steps that differ anyhow are not altered: noticing them would prove nothing', () => {
  const outcomes = playTraces([scenarioOf({ ...OPEN, ret: 3 }, alloc)], { make: () => fakeMachine() })
  const scenarios = mutateTraces(outcomes, 50, new RandomSource(1))
  expect(scenarios.noticed).toBe(50)
  expect(outcomes[0]?.differences.length).toBe(1)
})
