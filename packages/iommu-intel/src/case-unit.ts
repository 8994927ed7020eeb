/** Makes a VT-d unit for the player of hardware cases in `@ioasis/testkit`, whose types this fits without importing them. */
import type { HostMemory } from '@ioasis/core'
import { VtdUnit } from './hw/unit.ts'
import { qemuUnit } from './qemu-unit.ts'

/** What the player gives a unit to live on. */
interface Surroundings {
  readonly memory: HostMemory
  readonly raise: (address: bigint, data: number) => void
}

/**
 * A unit at reset that covers every function.
 * @param properties of a case: `cap`, `ecap` and `haw` as registers (hand-written), or QEMU's device properties (recorded)
 */
export function vtdCaseUnit(
  properties: Readonly<Record<string, string | number>>,
  { memory, raise }: Surroundings,
  personality: 'specification' | 'qemu',
): { readonly unit: VtdUnit; idle(): void } {
  const { cap, ecap, haw } = properties
  const registers =
    cap === undefined || ecap === undefined
      ? qemuUnit(properties)
      : { cap: BigInt(cap), ecap: BigInt(ecap), haw: Number(haw) }
  const unit = new VtdUnit({ name: 'dmar0', ...registers, personality, covers: () => true }, memory, raise)
  return { unit, idle: () => unit.poll() }
}
