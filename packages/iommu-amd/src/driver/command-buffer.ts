/**
 * The command buffer as its driver keeps it: a ring of 512 commands and a word in memory that COMPLETION_WAIT counts up.
 * drivers/iommu/amd/iommu.c __iommu_queue_command_sync, iommu_completion_wait, wait_on_sem; init.c iommu_enable_command_buffer,
 * amd_iommu_reset_cmd_buffer.
 */
import { type Cpu, hex, type Hpa, type PageAllocator } from '@ioasis/core'
import { REG, RING, RING_POINTER_MASK } from '../spec/registers.ts'
import { type Command, commandOf, type CommandWords, completionWait } from './command.ts'
import type { UnitRegisters } from './unit-registers.ts'

/** Bytes of the ring, and of a command. */
export const BUFFER_BYTES = 8192
const COMMAND_BYTES = 16
/** log2 of the commands, as the base register has it. */
const LENGTH_FIELD = 9n
/** So many bytes stay free: the tail never reaches the head. */
const MARGIN = 0x20
/** How often the word is looked at before the hardware counts as broken (LOOP_TIMEOUT). */
const PATIENCE = 10_000

/** Who carries commands to a unit. A test that wants a driver which forgets something derives from `CommandBuffer`. */
export interface CommandQueue {
  /** Queues requests, in order; they may not be done when this returns. */
  submit(commands: readonly Command[]): void
  /** Returns when all that was queued is done. */
  wait(): void
  /** Writes the ring's address to the unit, its pointers to 0, and switches it on. */
  start(): void
  /** Bytes of memory it keeps. */
  readonly bytes: number
  /** Frees its memory; the unit must have stopped. */
  close(): void
}

/** What a queue is made of. */
export interface QueueParts {
  readonly unit: string
  readonly registers: UnitRegisters
  readonly cpu: Cpu
  readonly pages: PageAllocator
}
/** How commands get to a unit. */
export type MakeQueue = (parts: QueueParts) => CommandQueue

/** The ring of one unit. */
export class CommandBuffer implements CommandQueue {
  readonly ring: Hpa
  /** Where COMPLETION_WAIT stores. */
  readonly semaphore: Hpa
  readonly bytes: number = BUFFER_BYTES + 4096
  readonly #parts: QueueParts
  #head = 0
  #tail = 0
  /** The last number that a COMPLETION_WAIT was told to store. */
  #number = 0
  /** Something was queued since. */
  #unwaited = false

  /** @throws UapiError ENOMEM, with nothing taken */
  constructor(parts: QueueParts) {
    this.#parts = parts
    const { pages, unit } = parts
    this.semaphore = pages.alloc(4096, `${unit} completion wait`)
    try {
      this.ring = pages.alloc(BUFFER_BYTES, `${unit} command buffer`)
    } catch (error) {
      pages.free(this.semaphore, 4096)
      throw error
    }
  }

  start(): void {
    const { registers } = this.#parts
    registers.write64(REG.CMDBASE, BigInt(this.ring) | (LENGTH_FIELD << BigInt(RING.LENGTH.lo)))
    registers.disable('CmdBufEn')
    registers.write(REG.CMDHEAD, 0)
    registers.write(REG.CMDTAIL, 0)
    this.#head = this.#tail = 0
    registers.enable('CmdBufEn')
  }

  submit(commands: readonly Command[]): void {
    for (const command of commands) this.#queue(commandOf(command))
    if (commands.length > 0) this.#unwaited = true
  }

  wait(): void {
    if (this.#unwaited) this.complete(++this.#number)
    this.#unwaited = false
    this.settle(this.#number)
  }

  close(): void {
    const { pages } = this.#parts
    pages.free(this.ring, BUFFER_BYTES)
    pages.free(this.semaphore, 4096)
  }

  /** Queues a COMPLETION_WAIT that stores `number`. */
  protected complete(number: number): void {
    this.#queue(completionWait(this.semaphore, number))
  }

  /**
   * Waits until the unit has stored `number`, or a later one. Time passes by reading a register: a unit that lags does then
   * what it was told.
   * @throws Error when it never is: the unit stopped at a command, or nobody told it to
   */
  protected settle(number: number): void {
    const { cpu, unit, registers } = this.#parts
    for (let i = 0; i < PATIENCE; i++) {
      if (Number(cpu.load(this.semaphore, 8)) >= number) return
      registers.read(REG.STATUS)
    }
    throw new Error(`${unit}: Completion-Wait loop timed out at command ${hex(registers.read(REG.CMDHEAD))}`)
  }

  #queue(words: CommandWords): void {
    const { cpu, registers, unit } = this.#parts
    const next = (this.#tail + COMMAND_BYTES) % BUFFER_BYTES
    for (let i = 0; this.#room(next) <= MARGIN; i++) {
      if (i === PATIENCE) throw new Error(`${unit}: command buffer timeout`)
      this.#head = registers.read(REG.CMDHEAD) & RING_POINTER_MASK
    }
    cpu.storeWords(this.ring + this.#tail, words[0], words[1])
    cpu.storeWords(this.ring + this.#tail + 8, words[2], words[3])
    this.#tail = next
    registers.write(REG.CMDTAIL, next)
  }
  /** Bytes left behind a new tail. */
  #room(next: number): number {
    return (this.#head - next + BUFFER_BYTES) % BUFFER_BYTES
  }
}
