/**
 * A vCPU of POWER in real mode, as far as hypercalls need one: `sc 1`, which KVM answers or hands to its user, and `nop`. What
 * the user answered is put into the registers when the vCPU runs again (arch/powerpc/kvm/powerpc.c kvm_arch_vcpu_ioctl_run).
 */
import { type Frames, type Mapping, type MmapRequest, SharedPages, UapiError } from '@ioasis/core'
import type { MemorySlots } from './memory-slots.ts'
import {
  HYPERCALL_EXIT,
  HYPERCALL_EXIT_AT,
  KVM_EXIT_PAPR_HCALL,
  POWER_REGISTERS,
  type PowerRegisters,
} from './power-uapi.ts'
import { HCALL_ANSWER, type HypercallAnswer } from './tce-hypercalls.ts'
import { KVM_EXIT, RUN } from './uapi.ts'

/** Pages a vCPU's descriptor can be mapped for. */
const RUN_PAGES = 3
const LONGEST_RUN = 1_000_000
/** Power ISA v3.1 "System Call", level 1; "Or Immediate" of register 0 with 0. */
const INSTRUCTION = { SC_1: 0x4400_0022, NOP: 0x6000_0000 } as const
/** MSR bit LE: instructions are little-endian. */
const MSR_LE = 1n
const U64 = (1n << 64n) - 1n

/** What it finds around itself. */
export interface PowerMachine {
  readonly memory: MemorySlots
  /** KVM answers this one itself. */
  answers(number: number): boolean
  hypercall(number: number, args: readonly bigint[]): HypercallAnswer
}

/** One vCPU. */
export class PowerVcpu {
  readonly id: number
  readonly #machine: PowerMachine
  readonly #frames: Frames
  readonly #run: SharedPages
  #regs: Uint8Array = POWER_REGISTERS.make({})
  /** The user was asked, and its answer is not in the registers yet. */
  #asked = false

  constructor(id: number, machine: PowerMachine, frames: Frames) {
    this.id = id
    this.#machine = machine
    this.#frames = frames
    this.#run = new SharedPages(frames, { name: 'kvm-vcpu', bytes: RUN_PAGES * frames.pageBytes })
  }
  get registers(): PowerRegisters {
    return POWER_REGISTERS.decode(this.#regs)
  }
  set registers(values: PowerRegisters) {
    this.#regs = POWER_REGISTERS.make(values)
  }
  /** Runs until the guest needs its user; why stands in the shared page. @throws UapiError EINTR when it may not run at all */
  run(): void {
    if (this.#asked) this.#takeAnswer()
    const bytes = new Uint8Array(RUN.size)
    this.#frames.cpu.read(this.#run.fault(0), bytes)
    for (let left = RUN.decode(bytes).immediate_exit === 0 ? LONGEST_RUN : 0; left > 0; left--)
      if (!this.#step()) return
    this.#exit(KVM_EXIT.INTR)
    throw new UapiError('EINTR', 'KVM_RUN')
  }
  /** mmap(2) of its descriptor. @throws UapiError EINVAL beyond the shared pages */
  map({ offset, bytes }: MmapRequest): Mapping {
    const page = BigInt(this.#frames.pageBytes)
    if (offset + bytes > BigInt(RUN_PAGES) * page) throw new UapiError('EINVAL', 'mmap')
    return { kind: 'pages', object: this.#run, firstPage: Number(offset / page) }
  }
  /** The VM is gone. */
  free(): void {
    this.#run.release()
  }

  /** @returns whether it goes on */
  #step(): boolean {
    const { pc, msr, gpr } = this.registers
    const code = new Uint8Array(4)
    const there = this.#machine.memory.read(pc, code)
    const instruction = new DataView(code.buffer).getUint32(0, (msr & MSR_LE) !== 0n)
    if (!there || (instruction !== INSTRUCTION.SC_1 && instruction !== INSTRUCTION.NOP)) {
      this.#exit(KVM_EXIT.INTERNAL_ERROR)
      return false
    }
    POWER_REGISTERS.encode({ pc: (pc + 4n) & U64 }, this.#regs)
    return instruction === INSTRUCTION.NOP || this.#hypercall(Number(gpr[3] ?? 0n), gpr.slice(4, 13))
  }
  #hypercall(number: number, args: readonly bigint[]): boolean {
    const answer = this.#machine.answers(number) ? this.#machine.hypercall(number, args) : undefined
    if (!answer || answer.ret === HCALL_ANSWER.H_TOO_HARD) {
      this.#ask(number, args)
      return false
    }
    this.#setGprs(3, [BigInt(answer.ret), ...(answer.value === undefined ? [] : [answer.value])])
    return true
  }
  #ask(number: number, args: readonly bigint[]): void {
    const bytes = HYPERCALL_EXIT.make({ nr: BigInt(number), ret: 0n, args })
    this.#frames.cpu.write(this.#run.fault(0) + HYPERCALL_EXIT_AT, bytes)
    this.#asked = true
    this.#exit(KVM_EXIT_PAPR_HCALL)
  }
  #takeAnswer(): void {
    this.#asked = false
    const bytes = new Uint8Array(HYPERCALL_EXIT.size)
    this.#frames.cpu.read(this.#run.fault(0) + HYPERCALL_EXIT_AT, bytes)
    const { ret, args } = HYPERCALL_EXIT.decode(bytes)
    this.#setGprs(3, [ret, ...args])
  }
  #setGprs(first: number, values: readonly bigint[]): void {
    const gpr = [...this.registers.gpr]
    values.forEach((value, i) => (gpr[first + i] = value & U64))
    POWER_REGISTERS.encode({ gpr }, this.#regs)
  }
  #exit(reason: number): void {
    const bytes = new Uint8Array(4)
    new DataView(bytes.buffer).setUint32(0, reason, true)
    this.#frames.cpu.write(this.#run.fault(0) + RUN.at.exit_reason, bytes)
  }
}
