/**
 * The command buffer; 48882 "Command Buffer". Commands run in order. One that is illegal, or that cannot be read, is logged and
 * stops the processor: CmdBufRun clears, the head stays on it, and only CTRL.CmdBufEn going from 0 to 1 starts it again.
 */
import { bitsOf, get } from '@ioasis/core'
import { COMMAND_SHIFT } from '../spec/command.ts'
import { EVENT_CODE, MASTER_ABORTED } from '../spec/event.ts'
import { RING, RING_POINTER_MASK, STATUS } from '../spec/registers.ts'
import { BLOCKED, type CommandParts, Commands, DONE, type Outcome, STOPPED } from './commands.ts'
import { reason } from './fault.ts'

const RUN = bitsOf(STATUS.CmdBufRun)
const UNREADABLE = reason(EVENT_CODE.COMMAND_HARDWARE_ERROR, MASTER_ABORTED)

/** How the buffer of a unit behaves. */
export interface CommandBufferOptions {
  /** Commands stay unprocessed until `run`. */
  readonly lag: boolean
  /** QEMU: illegal commands are told and passed over, some of them run all the same; pointers survive a new base. */
  readonly qemu: boolean
}

/** The command processor of one unit. Commands are read with snooping. */
export class CommandBuffer {
  readonly #parts: CommandParts
  readonly #commands: Commands
  readonly #options: CommandBufferOptions
  #enabled = false
  #running = false
  /** The command in hand, and where it lies. */
  readonly #words: Int32Array = new Int32Array(4)
  #atHi = 0
  #atLo = 0

  constructor(parts: CommandParts, options: CommandBufferOptions) {
    this.#parts = parts
    this.#options = options
    this.#commands = new Commands(parts, options.qemu, () => this.run())
    const { registers } = parts
    const rung = (): void => {
      if (!options.lag) this.run()
    }
    registers.onWrite('CMDTAIL', rung)
    registers.onWrite('CMDHEAD', rung)
    registers.onWrite('CMDBASE', () => {
      if (options.qemu) return
      registers.set('CMDHEAD', 0, 0)
      registers.set('CMDTAIL', 0, 0)
    })
  }

  /** CTRL.CmdBufEn (with IommuEn) changed. A tail that was written before is worked off at once. */
  enable(on: boolean): void {
    const { registers } = this.#parts
    if (on !== this.#enabled) {
      const status = registers.lo('STATUS')
      registers.set('STATUS', on ? status | RUN : status & ~RUN)
    }
    this.#enabled = on
    if (on && !this.#options.lag) this.run()
  }
  /** Works the buffer off, up to the tail, the first error, or a wait for devices that have not answered. */
  run(): void {
    // A device that answers at once comes back here while its command is in hand.
    if (this.#running) return
    this.#running = true
    const { registers } = this.#parts
    const commands = this.#commands
    const mask = (16 << get(RING.LENGTH, 0, registers.hi('CMDBASE'))) - 1
    while (this.#ready) {
      const head = registers.lo('CMDHEAD') & RING_POINTER_MASK & mask
      if (head === (registers.lo('CMDTAIL') & RING_POINTER_MASK & mask)) break
      const outcome = this.#fetch(head) ? commands.execute(this.#words, this.#atHi, this.#atLo) : this.#unreadable()
      if (outcome === BLOCKED) break
      if (outcome === STOPPED) {
        registers.set('STATUS', registers.lo('STATUS') & ~RUN)
        break
      }
      registers.set('CMDHEAD', (head + (1 << COMMAND_SHIFT)) & mask, 0)
    }
    this.#running = false
  }

  get #ready(): boolean {
    return this.#enabled && (this.#parts.registers.lo('STATUS') & RUN) !== 0
  }
  #fetch(head: number): boolean {
    const { memory, registers } = this.#parts
    const words = this.#words
    const first = ((registers.lo('CMDBASE') & ~0xfff) >>> 0) + head
    this.#atHi = (registers.hi('CMDBASE') & 0xf_ffff) + (first > 0xffff_ffff ? 1 : 0)
    this.#atLo = first | 0
    for (let i = 0; i < 4; i += 2) {
      if (!memory.loadEntry(this.#atHi, this.#atLo + i * 4, true)) return false
      words[i] = memory.entryLo
      words[i + 1] = memory.entryHi
    }
    return true
  }
  #unreadable(): Outcome {
    this.#parts.events.record(UNREADABLE, 0, 0, this.#atHi, this.#atLo)
    return this.#options.qemu ? DONE : STOPPED
  }
}
