/**
 * MSI and MSI-X handed to a user: the kernel's messages in the hardware, each delivery signals an event counter.
 * drivers/vfio/pci/vfio_pci_intrs.c vfio_msi_*, drivers/pci/msi.
 */
import {
  CAP,
  COMMAND,
  type Cpu,
  type EventFd,
  HEADER,
  type Interrupts,
  MSI,
  msiLayout,
  MSIX,
  type PciFunction,
  UapiError,
} from '@ioasis/core'
import type { HiddenTable } from './regions.ts'
import { setLine } from './intx.ts'

/** What they are set up with. */
export interface VectorParts {
  readonly fn: PciFunction
  readonly interrupts: Interrupts
  readonly cpu: Cpu
  /** Where the MSI-X table lies in host memory; undefined: MSI. */
  readonly table: (HiddenTable & { readonly hpa: number }) | undefined
  /**
   * The function's IOMMU lets messages of these vectors pass from now on.
   * @returns takes it back; undefined: messages need no leave
   * @throws UapiError ENOMEM
   */
  readonly allowMessages: (vectors: readonly number[]) => (() => void) | undefined
}
interface Slot {
  readonly vector: number
  event: EventFd | undefined
  stop: (() => void) | undefined
}

/** Vectors of one opened device while its user wants them. */
export class MessageVectors {
  readonly #parts: VectorParts
  readonly #slots = new Map<number, Slot>()
  /** Vectors of MSI that fill its block up to a power of two: allocated, and nobody's. */
  readonly #spare: readonly number[]
  /** Take back what the IOMMU allows. */
  readonly #refusals: (() => void)[] = []
  /** MSI: how many were asked for, a power of two. */
  readonly order: number

  /** @param count vectors that the user asked for @throws UapiError ERANGE for none, ENOSPC when the host has no more, ENOMEM */
  constructor(parts: VectorParts, count: number) {
    if (count === 0) throw new UapiError('ERANGE', 'pci_alloc_irq_vectors', { count })
    this.#parts = parts
    this.order = Math.ceil(Math.log2(count))
    const vectors = parts.table ? allocate(parts.interrupts, count) : allocateBlock(parts.interrupts, 2 ** this.order)
    this.#allow(vectors)
    vectors.slice(0, count).forEach((vector, n) => this.#slots.set(n, { vector, event: undefined, stop: undefined }))
    this.#spare = vectors.slice(count)
    setLine(parts.fn, false)
    this.program()
  }
  get isMsix(): boolean {
    return this.#parts.table !== undefined
  }

  /**
   * Connects vector `n`. MSI-X vectors beyond the first ones are allocated now, and stay also when there is no such event.
   * @param event looked for once the vector is there
   * @throws UapiError ENOSPC; EINVAL beyond the vectors of MSI; as `event`
   */
  connect(n: number, event: () => EventFd | undefined): void {
    this.disconnect(n)
    const slot = this.#slots.get(n) ?? this.#add(n)
    const found = event()
    if (!found) return
    slot.event = found
    slot.stop = this.#parts.interrupts.handle(slot.vector, () => found.signal())
    this.#maskUnused(n, slot)
  }
  /** Vector `n` signals nothing any more; harmless when it did not. */
  disconnect(n: number): void {
    const slot = this.#slots.get(n)
    slot?.stop?.()
    if (!slot) return
    slot.stop = slot.event = undefined
    this.#maskUnused(n, slot)
  }
  /** As if vector `n` had come. */
  signal(n: number): void {
    this.#slots.get(n)?.event?.signal()
  }
  /** Puts the messages into the hardware: at first, and after a reset. */
  program(): void {
    const { fn, table } = this.#parts
    if (table) {
      for (const [n, slot] of this.#slots) this.#writeEntry(n, slot)
      const at = fn.capability(CAP.MSIX) + MSIX.FLAGS
      fn.writeConfig(at, 2, (fn.readConfig(at, 2) & ~MSIX.MASK_ALL) | MSIX.ENABLE)
    } else this.#programMsi()
  }
  /** @param lineOff the line stays down */
  close(lineOff: boolean): void {
    const { fn, interrupts, table } = this.#parts
    const at = table ? fn.capability(CAP.MSIX) + MSIX.FLAGS : fn.capability(CAP.MSI) + MSI.FLAGS
    fn.writeConfig(at, 2, fn.readConfig(at, 2) & ~(table ? MSIX.ENABLE : MSI.ENABLE))
    if (!table) writeMasks(fn, 0)
    for (const { vector, stop } of this.#slots.values()) {
      stop?.()
      interrupts.free(vector)
    }
    for (const vector of this.#spare) interrupts.free(vector)
    for (const refuse of this.#refusals.splice(0)) refuse()
    this.#slots.clear()
    setLine(fn, !lineOff)
  }

  #add(n: number): Slot {
    if (!this.#parts.table) throw new UapiError('EINVAL', 'vfio_msi_alloc_irq', { vector: n })
    const vectors = allocate(this.#parts.interrupts, 1)
    this.#allow(vectors)
    const [vector] = vectors
    const slot: Slot = { vector: vector as number, event: undefined, stop: undefined }
    this.#slots.set(n, slot)
    return slot
  }
  /** @throws UapiError ENOMEM, the vectors being given back */
  #allow(vectors: readonly number[]): void {
    const { allowMessages, interrupts } = this.#parts
    try {
      const refuse = allowMessages(vectors)
      if (refuse) this.#refusals.push(refuse)
    } catch (error) {
      for (const vector of vectors) interrupts.free(vector)
      throw error
    }
  }
  #writeEntry(n: number, { vector, event }: Slot): void {
    const { fn, cpu, table } = this.#parts
    if (!table) return
    const at = table.hpa + MSIX.ENTRY_BYTES * n
    withMemory(fn, () => {
      cpu.store(at + 12, 4, BigInt(MSIX.ENTRY_MASKED))
      const { messageAddress } = fn.interrupts
      cpu.store(at, 4, messageAddress & 0xffff_ffffn)
      cpu.store(at + 4, 4, messageAddress >> 32n)
      cpu.store(at + 8, 4, BigInt(vector))
      if (event) cpu.store(at + 12, 4, 0n)
    })
  }
  #programMsi(): void {
    const { fn } = this.#parts
    const at = fn.capability(CAP.MSI)
    const flags = fn.readConfig(at + MSI.FLAGS, 2)
    const { messageAddress } = fn.interrupts
    fn.writeConfig(at + MSI.ADDRESS, 4, Number(messageAddress & 0xffff_ffffn))
    if (flags & MSI.WIDE) fn.writeConfig(at + MSI.ADDRESS_HIGH, 4, Number(messageAddress >> 32n))
    fn.writeConfig(at + msiLayout(flags).data, 2, this.#slots.get(0)?.vector ?? 0)
    this.#maskMsi()
    fn.writeConfig(at + MSI.FLAGS, 2, (flags & ~MSI.CONFIGURED) | (this.order << 4) | MSI.ENABLE)
  }
  /** A vector without an event is masked in the hardware, where it can be: nobody has requested its interrupt. */
  #maskUnused(n: number, slot: Slot): void {
    if (this.#parts.table) this.#writeEntry(n, slot)
    else this.#maskMsi()
  }
  #maskMsi(): void {
    let bits = 0xffff_ffff
    for (const [n, { event }] of this.#slots) if (event) bits &= ~(1 << n)
    writeMasks(this.#parts.fn, bits)
  }
}

/** Mask bits of MSI, where the function has them; those of vectors it does not have stay zero (pci_msi_mask, pci_msi_unmask). */
function writeMasks(fn: PciFunction, bits: number): void {
  const at = fn.capability(CAP.MSI)
  const flags = fn.readConfig(at + MSI.FLAGS, 2)
  if (!(flags & MSI.MASKABLE)) return
  const vectors = 1 << ((flags & MSI.CAPABLE) >> 1)
  fn.writeConfig(at + msiLayout(flags).mask, 4, (bits & (2 ** vectors - 1)) >>> 0)
}

/** vfio_pci_memory_lock_and_enable(): the table is written even while the user has memory off. */
function withMemory(fn: PciFunction, use: () => void): void {
  const command = fn.readConfig(HEADER.COMMAND, 2)
  if (!(command & COMMAND.MEMORY)) fn.writeConfig(HEADER.COMMAND, 2, command | COMMAND.MEMORY)
  use()
  if (!(command & COMMAND.MEMORY)) fn.writeConfig(HEADER.COMMAND, 2, command)
}

function allocate(interrupts: Interrupts, count: number): readonly number[] {
  const taken: number[] = []
  try {
    while (taken.length < count) taken.push(interrupts.allocate())
    return taken
  } catch (error) {
    for (const vector of taken) interrupts.free(vector)
    if (error instanceof RangeError) throw new UapiError('ENOSPC', 'pci_alloc_irq_vectors', { count })
    throw error
  }
}
/** Vectors that follow one another from a multiple of their number: MSI puts the vector's number into the low bits. */
function allocateBlock(interrupts: Interrupts, count: number): readonly number[] {
  const passed: number[] = []
  let run: number[] = []
  try {
    while (run.length < count) {
      const [vector] = allocate(interrupts, 1) as [number]
      if (run.length > 0 && vector !== (run.at(-1) as number) + 1) passed.push(...run.splice(0))
      if (run.length === 0 && vector % count !== 0) passed.push(vector)
      else run.push(vector)
    }
    return run
  } catch (error) {
    passed.push(...run)
    run = []
    throw error
  } finally {
    for (const vector of passed) interrupts.free(vector)
  }
}
