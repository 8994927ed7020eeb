import { type Cpu, Cpus, type Plugin } from '@ioasis/core'
import { expect, test } from 'vitest'
import type { DriverWorld } from '../driver-kit/world.ts'
import { toyWorld } from '../toy-iommu/toy-world.ts'
import { runRandom } from './run-random.ts'

const seed = Number(process.env['SEED'] ?? 1)

test.each([
  { pageSize: 4096, units: 1, lag: false },
  { pageSize: 65536, units: 2, lag: true },
] as const)('the toy agrees with the model over 10,000 operations: $units unit(s), $pageSize-byte pages', (variant) => {
  expect(() => runRandom({ seed, steps: 10_000, world: () => toyWorld(variant) })).not.toThrow()
})

/** A flush of more than 12 words is lost. */
function lossy(cpu: Cpu): void {
  const store = cpu.store.bind(cpu)
  cpu.store = (hpa, size, value) => {
    const words = Number(value & 0x7fffn)
    if (hpa !== 0xfed0_0008 || words <= 12) store(hpa, size, value)
  }
}
const broken: Plugin = { name: 'broken', contract: 1, needs: [Cpus], setup: (host) => lossy(host.get(Cpus)[0]) }
const leaky = (): DriverWorld => toyWorld({ pageSize: 4096, units: 1, lag: false }, [broken])

test('a driver that seldom forgets a flush is caught, and told with seed, step and a short way to see it', () => {
  expect(() => runRandom({ seed: 3, steps: 10_000, world: leaky })).toThrow(
    /seed 3, step \d+ of 10000: .*\n([1-9]|1\d) of them are enough/,
  )
})
