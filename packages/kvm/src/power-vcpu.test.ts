import { Client, createHost, Processes } from '@ioasis/core'
import { expect, test } from 'vitest'
import { kvm } from './plugin.ts'
import {
  HYPERCALL_EXIT,
  HYPERCALL_EXIT_AT,
  KVM_CAP_PPC_ENABLE_HCALL,
  KVM_ENABLE_CAP,
  KVM_EXIT_PAPR_HCALL,
  KVM_GET_REGS_POWER,
  KVM_SET_REGS_POWER,
} from './power-uapi.ts'
import { HCALL_ANSWER, HYPERCALL } from './tce-hypercalls.ts'
import { KVM_CREATE_SPAPR_TCE_64 } from './tce-uapi.ts'
import { KVM_CREATE_VCPU, KVM_CREATE_VM, KVM_EXIT, KVM_RUN, KVM_SET_USER_MEMORY_REGION, RUN } from './uapi.ts'

const RAM = 0x100_0000_0000n
const CODE = 0x1000n
const [NOP, SC_1] = [0x6000_0000, 0x4400_0022]
const LIOBN = 0x8000_0000n

/** A guest whose program is `words`, with r3 and up as given. */
function guest(words: readonly number[], littleEndian = true) {
  const host = createHost({ plugins: [kvm({ power: true })] })
  const vmm = new Client(host, host.get(Processes).spawn())
  const vm = vmm.ioctl(vmm.open('/dev/kvm'), KVM_CREATE_VM)
  vmm.mmap({ uva: RAM, bytes: 0x10_0000 })
  vmm.ioctl(vm, KVM_SET_USER_MEMORY_REGION, { guest_phys_addr: 0n, memory_size: 0x10_0000n, userspace_addr: RAM })
  const code = new DataView(new ArrayBuffer(words.length * 4))
  words.forEach((word, i) => code.setUint32(i * 4, word, littleEndian))
  vmm.poke(RAM + CODE, new Uint8Array(code.buffer))
  vmm.ioctlRet(vm, KVM_CREATE_SPAPR_TCE_64, { liobn: LIOBN, page_shift: 12, size: 0x400n })
  const vcpu = vmm.ioctl(vm, KVM_CREATE_VCPU, 0)
  const shared = vmm.mmap({ fd: vcpu, bytes: 0x1000 })
  const registers = (...values: readonly bigint[]): void => {
    const gpr = [0n, 0n, 0n, ...values, ...Array.from({ length: 29 - values.length }, () => 0n)]
    vmm.ioctl(vcpu, KVM_SET_REGS_POWER, { pc: CODE, msr: littleEndian ? 1n : 0n, gpr })
  }
  const run = (): number => {
    vmm.ioctl(vcpu, KVM_RUN)
    return Number(vmm.memRead(shared + BigInt(RUN.at.exit_reason), 4))
  }
  const gprs = (): readonly bigint[] => vmm.ioctl(vcpu, KVM_GET_REGS_POWER, {}).gpr
  return { vmm, vm, shared, registers, run, gprs }
}
const call = (number: number, ...args: readonly bigint[]): readonly bigint[] => [BigInt(number), LIOBN, ...args]

test.each([true, false])(
  'a hypercall that KVM answers does not leave the guest (little-endian: %s)',
  (littleEndian) => {
    const { registers, run, gprs } = guest([NOP, SC_1, 0], littleEndian)
    registers(...call(HYPERCALL.H_PUT_TCE, 0x3000n, 0x800n))
    expect([run(), gprs()[3]]).toEqual([KVM_EXIT.INTERNAL_ERROR, 0n])
    registers(...call(HYPERCALL.H_GET_TCE, 0x3000n))
    run()
    expect(gprs().slice(3, 5)).toEqual([0n, 0x800n])
    registers(...call(HYPERCALL.H_GET_TCE, 0x3008n))
    run()
    expect(BigInt.asIntN(64, gprs()[3] ?? 0n)).toBe(BigInt(HCALL_ANSWER.H_PARAMETER))
  },
)
test('one that it cannot answer is its user’s, whose answer the guest finds in its registers', () => {
  const { vmm, shared, registers, run, gprs } = guest([SC_1, 0])
  registers(0x28n, 7n, 8n)
  expect(run()).toBe(KVM_EXIT_PAPR_HCALL)
  const at = shared + BigInt(HYPERCALL_EXIT_AT)
  expect(HYPERCALL_EXIT.decode(vmm.peek(at, HYPERCALL_EXIT.size))).toMatchObject({ nr: 0x28n, ret: 0n })
  expect(HYPERCALL_EXIT.decode(vmm.peek(at, HYPERCALL_EXIT.size)).args.slice(0, 2)).toEqual([7n, 8n])
  vmm.poke(at, HYPERCALL_EXIT.make({ nr: 0x28n, ret: 5n, args: [6n] }))
  expect([run(), gprs().slice(3, 5)]).toEqual([KVM_EXIT.INTERNAL_ERROR, [5n, 6n]])
})
test('many entries at a time: only once the user enabled it', () => {
  const { vmm, vm, registers, run, gprs } = guest([SC_1, 0])
  const stuff = call(HYPERCALL.H_STUFF_TCE, 0n, 0x500n, 2n)
  registers(...stuff)
  expect(run()).toBe(KVM_EXIT_PAPR_HCALL)
  const enable = (...args: readonly bigint[]): string =>
    vmm.attempt(vm, KVM_ENABLE_CAP, { cap: KVM_CAP_PPC_ENABLE_HCALL, args }).errno ?? 'ok'
  expect([enable(3n, 1n), enable(BigInt(HYPERCALL.H_STUFF_TCE), 2n)]).toEqual(['EINVAL', 'EINVAL'])
  expect(enable(BigInt(HYPERCALL.H_STUFF_TCE), 1n)).toBe('ok')
  run()
  registers(...stuff)
  expect([run(), gprs()[3]]).toEqual([KVM_EXIT.INTERNAL_ERROR, 0n])
})
test('what it cannot execute ends the run, and it never runs for ever', () => {
  const { vmm, shared, registers, run } = guest([0x4800_0000])
  registers()
  expect(run()).toBe(KVM_EXIT.INTERNAL_ERROR)
  vmm.memWrite(shared + 1n, 1, 1n)
  expect(() => run()).toThrow('EINTR')
})
