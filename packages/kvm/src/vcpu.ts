/** A vCPU: registers, the page it shares with its user, and KVM_RUN. */
import { type Frames, type Mapping, type MmapRequest, SharedPages, UapiError } from '@ioasis/core'
import { execute, type Guest } from './instructions.ts'
import type { MemorySlots } from './memory-slots.ts'
import { KVM_EXIT, REGISTERS, RUN, SPECIAL_REGISTERS, type Registers, type SpecialRegisters } from './uapi.ts'

/** Pages a vCPU's descriptor can be mapped for: kvm_run, port data, coalesced MMIO. */
export const RUN_PAGES = 3
/** Instructions until KVM_RUN comes back as if a signal had arrived: nothing else would end a guest's endless loop here. */
const LONGEST_RUN = 1_000_000
/** After reset a CPU begins here: Intel SDM volume 3, "Processor State After Reset". */
const RESET = {
  rip: 0xfff0n,
  csBase: 0xffff_0000n,
  csSelector: 0xf000,
  limit: 0xffff,
  cr0: 0x6000_0010n,
  rflags: 2n,
} as const
const MODE = { PE: 1n, PG: 1n << 31n } as const

/** What a vCPU finds around itself. */
export interface GuestMachine {
  readonly memory: MemorySlots
  /** The guest executed WBINVD. */
  guestWbinvd(): void
}

/** One vCPU. */
export class Vcpu implements Guest {
  readonly id: number
  readonly #machine: GuestMachine
  readonly #frames: Frames
  readonly #run: SharedPages
  #regs: Uint8Array = REGISTERS.make({ rip: RESET.rip, rflags: RESET.rflags })
  #sregs: Uint8Array = SPECIAL_REGISTERS.make({
    cs: { base: RESET.csBase, limit: RESET.limit, selector: RESET.csSelector, attributes: [] },
    ds: { base: 0n, limit: RESET.limit, selector: 0, attributes: [] },
    cr0: RESET.cr0,
  })

  constructor(id: number, machine: GuestMachine, frames: Frames) {
    this.id = id
    this.#machine = machine
    this.#frames = frames
    this.#run = new SharedPages(frames, { name: 'kvm-vcpu', bytes: RUN_PAGES * frames.pageBytes })
  }
  get registers(): Registers {
    return REGISTERS.decode(this.#regs)
  }
  set registers(values: Registers) {
    this.#regs = REGISTERS.make(values)
  }
  get specialRegisters(): SpecialRegisters {
    return SPECIAL_REGISTERS.decode(this.#sregs)
  }
  set specialRegisters(values: SpecialRegisters) {
    this.#sregs = SPECIAL_REGISTERS.make(values)
  }
  /** Runs until the guest needs its user; why stands in the shared page. @throws UapiError EINTR when it may not run at all */
  run(): void {
    if (this.#shared().immediate_exit !== 0) {
      this.#exit(KVM_EXIT.INTR)
      throw new UapiError('EINTR', 'KVM_RUN')
    }
    for (let left = LONGEST_RUN; left > 0; left--) {
      const executed = this.#paging ? 'unknown' : execute(this)
      if (executed === 'next') continue
      this.#exit(executed === 'halted' ? KVM_EXIT.HLT : KVM_EXIT.INTERNAL_ERROR)
      return
    }
    this.#exit(KVM_EXIT.INTR)
    throw new UapiError('EINTR', 'KVM_RUN')
  }
  /** mmap(2) of its descriptor. @throws UapiError EINVAL beyond the shared pages */
  map(request: MmapRequest): Mapping {
    const page = BigInt(this.#frames.pageBytes)
    if (request.offset + request.bytes > BigInt(RUN_PAGES) * page) throw new UapiError('EINVAL', 'mmap')
    return { kind: 'pages', object: this.#run, firstPage: Number(request.offset / page) }
  }
  /** The VM is gone. */
  free(): void {
    this.#run.release()
  }

  // What instructions ask for.
  get al(): number {
    return Number(this.registers.rax & 0xffn)
  }
  set al(value: number) {
    const { rax } = this.registers
    REGISTERS.encode({ rax: (rax & ~0xffn) | BigInt(value) }, this.#regs)
  }
  fetch(bytes: number): Uint8Array | undefined {
    const code = new Uint8Array(bytes)
    const at = this.specialRegisters.cs.base + this.registers.rip
    return this.#machine.memory.read(at, code) ? code : undefined
  }
  advance(bytes: number): void {
    REGISTERS.encode({ rip: this.registers.rip + BigInt(bytes) }, this.#regs)
  }
  loadByte(offset: number): number | undefined {
    const byte = new Uint8Array(1)
    return this.#machine.memory.read(this.#data(offset), byte) ? byte[0] : undefined
  }
  storeByte(offset: number, value: number): boolean {
    return this.#machine.memory.write(this.#data(offset), Uint8Array.of(value))
  }
  wbinvd(): void {
    this.#machine.guestWbinvd()
  }

  get #paging(): boolean {
    return (this.specialRegisters.cr0 & (MODE.PE | MODE.PG)) === (MODE.PE | MODE.PG)
  }
  #data(offset: number): bigint {
    return this.specialRegisters.ds.base + BigInt(offset)
  }
  #shared(): { readonly immediate_exit: number } {
    const bytes = new Uint8Array(RUN.size)
    this.#frames.cpu.read(this.#run.fault(0), bytes)
    return RUN.decode(bytes)
  }
  #exit(reason: number): void {
    const bytes = new Uint8Array(4)
    new DataView(bytes.buffer).setUint32(0, reason, true)
    this.#frames.cpu.write(this.#run.fault(0) + RUN.at.exit_reason, bytes)
  }
}
