/** `kvm_run_wbinvd`: gives a VM one page of memory and one vCPU that executes WBINVD and halts, through KVM's own calls. */
import { UapiError } from '@ioasis/core'
import { structCall } from './open-device.ts'
import { loadInteger, storeInteger } from './payload.ts'
import type { TraceProcess } from './trace-process.ts'

/** wbinvd; hlt */
const PROGRAM = Uint8Array.of(0x0f, 0x09, 0xf4)
const PAGE = 4096
/** Where the program lies in the guest: what the code segment points to after it was set to 0. */
const GUEST_CODE = 0x1000n
/** include/uapi/linux/kvm.h struct kvm_run: exit_reason. */
const EXIT_REASON = 8
/** arch/x86/include/uapi/asm/kvm.h struct kvm_sregs: cs.base, cs.selector; struct kvm_regs: rip, rflags. */
const SREGS = { bytes: 312, csBase: 0, csSelector: 12 } as const
const REGS = { bytes: 144, rip: 128, rflags: 136 } as const

/** How it went. */
export interface GuestRun {
  /** `ok`, or the errno that kept the vCPU from being made. */
  readonly setup: string
  readonly exitReason: number | undefined
}

/** @param vm descriptor of the VM */
export function runWbinvd(process: TraceProcess, vm: number): GuestRun {
  let vcpu: number
  try {
    vcpu = makeVcpu(process, vm)
  } catch (error) {
    if (error instanceof UapiError) return { setup: error.errno, exitReason: undefined }
    throw error
  }
  const number = (name: string): number => process.callNamed(name).number
  const run = process.calls.mmap({ fd: vcpu, bytes: PAGE })
  try {
    process.calls.ioctl(vcpu, number('KVM_RUN'), 0n)
    return { setup: 'ok', exitReason: Number(loadInteger(process.calls.peek(run + BigInt(EXIT_REASON), 4), 0, 4)) }
  } finally {
    process.calls.munmap(run, PAGE)
    process.calls.close(vcpu)
  }
}

/** vCPUs made so far, by VM: it has its program from the first one on, and each gets a number of its own. */
const made = new WeakMap<object, number>()

/** Memory with the program, and a vCPU in real mode at its first instruction. */
function makeVcpu(process: TraceProcess, vm: number): number {
  const { calls } = process
  const number = (name: string): number => process.callNamed(name).number
  const file = calls.fds.get(vm)
  const id = made.get(file) ?? 0
  if (id === 0) giveProgram(process, vm)
  const vcpu = calls.ioctl(vm, number('KVM_CREATE_VCPU'), BigInt(id))
  made.set(file, id + 1)
  const sregs = process.scratch.place(new Uint8Array(SREGS.bytes), undefined, SREGS.bytes)
  calls.ioctl(vcpu, number('KVM_GET_SREGS'), sregs.arg)
  const special = sregs.read() as Uint8Array
  storeInteger(special, SREGS.csBase, 8, 0n)
  storeInteger(special, SREGS.csSelector, 2, 0n)
  calls.ioctl(vcpu, number('KVM_SET_SREGS'), process.scratch.place(special, undefined, SREGS.bytes).arg)
  const general = new Uint8Array(REGS.bytes)
  storeInteger(general, REGS.rip, 8, GUEST_CODE)
  storeInteger(general, REGS.rflags, 8, 2n)
  calls.ioctl(vcpu, number('KVM_SET_REGS'), process.scratch.place(general, undefined, REGS.bytes).arg)
  return vcpu
}

function giveProgram(process: TraceProcess, vm: number): void {
  const memory = process.calls.mmap({ bytes: PAGE, shared: true })
  process.calls.poke(memory, PROGRAM)
  structCall(process, vm, 'KVM_SET_USER_MEMORY_REGION', {
    guest_phys_addr: GUEST_CODE,
    memory_size: BigInt(PAGE),
    userspace_addr: memory,
  })
}
