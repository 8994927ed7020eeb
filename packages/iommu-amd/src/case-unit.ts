/** Makes an AMD-Vi unit for the player of hardware cases in `@ioasis/testkit`, whose types this fits without importing them. */
import { AtsGrant, type Clock, type DmaRequest, hpaOf, type HostMemory } from '@ioasis/core'
import { AmdUnit } from './hw/unit.ts'
import { qemuAmdUnit } from './qemu-unit.ts'

/** What the player gives a unit to live on. */
interface Surroundings {
  readonly memory: HostMemory
  readonly raise: (address: bigint, data: number) => void
  readonly clock?: Clock
  readonly pageResponse?: (requester: number, pasid: number, group: number, code: string) => void
}
/** An ATS completion as the player compares it. */
interface AtsAnswer {
  readonly status: 'success' | 'ur' | 'ca'
  readonly read: boolean
  readonly write: boolean
  readonly snooped: boolean
  readonly hpa?: number
  readonly bytes?: number
}

/**
 * A unit at reset that covers every function.
 * @param properties of a case: `efr`, `efr2`, `capHeader`, `paBits` as registers (hand-written), or QEMU's device properties (recorded)
 */
export function amdCaseUnit(
  properties: Readonly<Record<string, string | number>>,
  { memory, raise, clock, pageResponse }: Surroundings,
  personality: 'specification' | 'qemu',
): { readonly unit: AmdUnit; idle(): void; ats(request: DmaRequest): AtsAnswer } {
  const { efr, efr2 = 0, capHeader, paBits } = properties
  const registers =
    efr === undefined || capHeader === undefined
      ? qemuAmdUnit(properties)
      : {
          efr: BigInt(efr),
          efr2: BigInt(efr2),
          capabilityHeader: Number(capHeader),
          ...(paBits === undefined ? {} : { paBits: Number(paBits) }),
        }
  const unit = new AmdUnit({ name: 'ivhd0', ...registers, personality, covers: () => true }, memory, raise, {
    ...(clock ? { clock } : {}),
    ...(pageResponse ? { strayResponse: pageResponse } : {}),
  })
  const grant = new AtsGrant()
  const ats = (request: DmaRequest): AtsAnswer => {
    unit.ats.translate(request, grant)
    const { status, read, write, snooped, hpaHi, hpaLo, shift } = grant
    return read || write
      ? { status, read, write, snooped, hpa: hpaOf(hpaHi, hpaLo), bytes: 2 ** shift }
      : { status, read, write, snooped }
  }
  return { unit, idle: () => unit.poll(), ats }
}
