import { type Cpu, Cpus, type Plugin } from '@ioasis/core'
import { expect, test } from 'vitest'
import type { DriverWorld } from '../driver-kit/world.ts'
import { toyWorld } from '../toy-iommu/toy-world.test-kit.ts'
import { runRandom } from './run-random.ts'

const seed = Number(process.env['SEED'] ?? 1)
/** For machines that are busy with something else. */
const LONG = { timeout: 60_000 }

test.each([
  { pageSize: 4096, units: 1, lag: false },
  { pageSize: 65536, units: 2, lag: true },
] as const)(
  `the toy agrees with the model over 10,000 operations: seed ${seed}, $units unit(s), $pageSize-byte pages`,
  LONG,
  (variant) => {
    const { did, audits } = runRandom({ seed, steps: 10_000, world: () => toyWorld(variant) })
    expect(Object.entries(did).filter(([, times]) => times < 50)).toEqual([])
    expect(audits).toEqual({ steps: 10_000, full: 39 })
  },
)

/** The flush after more than 12 pages were unmapped is lost. */
function lossy(cpu: Cpu): void {
  const store = cpu.store.bind(cpu)
  let cleared = 0
  cpu.store = (hpa, size, value) => {
    const lost = hpa === 0xfed0_0000 && cleared > 12
    cleared = value === 0n ? cleared + 1 : 0
    if (!lost) store(hpa, size, value)
  }
}
const broken: Plugin = { name: 'broken', contract: 1, needs: [Cpus], setup: (host) => lossy(host.get(Cpus)[0]) }
const leaky = (): DriverWorld => toyWorld({ pageSize: 4096, units: 1, lag: false }, [broken])

test('a driver that seldom forgets a flush is caught, and told with seed, step and a short way to see it', LONG, () => {
  expect(() => runRandom({ seed: 3, steps: 10_000, world: leaky })).toThrow(
    /seed 3, step \d+ of 10000: .*\n([1-9]|1\d) of them are enough/,
  )
})
