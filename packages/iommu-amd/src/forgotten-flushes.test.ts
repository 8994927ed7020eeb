import { composeWorld, describeForgottenFlushes, type ForgottenFlush } from '@ioasis/testkit/kits'
import { amdIommu, type Command, CommandBuffer, DEFAULT_UNIT, type QueueParts } from './index.ts'

/** The command buffer of a driver that forgets something. What switches a unit on (all at once) is left alone. */
class ForgetfulBuffer extends CommandBuffer {
  readonly #forgets: ForgottenFlush

  constructor(parts: QueueParts, forgets: ForgottenFlush) {
    super(parts)
    this.#forgets = forgets
  }
  override submit(commands: readonly Command[]): void {
    super.submit(commands.flatMap((command) => this.#spoilt(command)))
  }
  protected override complete(number: number): void {
    if (this.#forgets !== 'the completion command') super.complete(number)
  }
  protected override settle(number: number): void {
    if (this.#forgets !== 'the wait' && this.#forgets !== 'the completion command') super.settle(number)
  }
  #spoilt(command: Command): Command | readonly Command[] {
    if (this.#forgets === 'the device entry flush' && command.kind === 'device') return []
    if (command.kind !== 'pages') return command
    const { domain, first, last } = command
    if (this.#forgets === 'the IOTLB flush') return []
    if (this.#forgets === 'the right domain id') return { ...command, domain: domain ^ 0x40 }
    if (this.#forgets === 'the size of a range') return { ...command, last: first }
    if (this.#forgets !== 'the last page of a range') return command
    // A range is a power of two: the lower half of it.
    const width = BigInt((first ^ last).toString(2).length)
    return width > 12n ? { ...command, last: last ^ (1n << (width - 1n)) } : []
  }
}

describeForgottenFlushes({
  name: 'amd',
  create(variant, fault) {
    const units = [{ ...DEFAULT_UNIT, lag: variant.lag }]
    const makeQueue = (parts: QueueParts): CommandBuffer =>
      fault ? new ForgetfulBuffer(parts, fault) : new CommandBuffer(parts)
    return composeWorld(variant, [amdIommu({ units, makeQueue })])
  },
})
