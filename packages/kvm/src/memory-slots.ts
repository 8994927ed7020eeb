/** Guest-physical memory of a VM: slots, each a range of its process's addresses (virt/kvm/kvm_main.c kvm_set_memory_region). */
import { type AddressSpace, type Gpa, UapiError, USER_LIMIT } from '@ioasis/core'
import type { MemoryRegion } from './uapi.ts'

/** Slots a user may have: KVM_USER_MEM_SLOTS of x86. */
export const USER_SLOTS = 32764
const ID_MASK = 0xffff

/** The slots of one VM. */
export class MemorySlots {
  readonly #space: AddressSpace
  readonly #slots = new Map<number, MemoryRegion>()

  /** @param space the memory of the process that made the VM */
  constructor(space: AddressSpace) {
    this.#space = space
  }
  /**
   * Makes, moves or removes a slot; a size of 0 removes it.
   * @throws UapiError EINVAL for flags, alignment, a wrap, a change of size or place in user memory; EEXIST for an overlap
   */
  set(region: MemoryRegion): void {
    const page = BigInt(this.#space.pageBytes)
    const { slot, flags, guest_phys_addr: gpa, memory_size: size, userspace_addr: uva } = region
    const refuse = (): never => {
      throw new UapiError('EINVAL', 'KVM_SET_USER_MEMORY_REGION', { slot, flags, gpa, size, uva })
    }
    if (flags !== 0 || size % page !== 0n || gpa % page !== 0n || uva % page !== 0n) refuse()
    if (uva + size > BigInt(USER_LIMIT) || slot > ID_MASK || slot >= USER_SLOTS || (gpa + size) >> 64n !== 0n) refuse()
    const old = this.#slots.get(slot)
    if (size === 0n) {
      if (!old) refuse()
      this.#slots.delete(slot)
      return
    }
    if (old && (old.userspace_addr !== uva || old.memory_size !== size)) refuse()
    for (const [other, has] of this.#slots) {
      if (other !== slot && gpa < has.guest_phys_addr + has.memory_size && has.guest_phys_addr < gpa + size) {
        throw new UapiError('EEXIST', 'KVM_SET_USER_MEMORY_REGION', { slot, gpa, size, other })
      }
    }
    // A call's struct is lent for the call.
    this.#slots.set(slot, { slot, flags, guest_phys_addr: gpa, memory_size: size, userspace_addr: uva })
  }
  /** A guest's load. @returns false when no slot holds all of it, or its memory does not answer */
  read(gpa: Gpa, into: Uint8Array): boolean {
    const uva = this.uva(gpa, into.length)
    return uva !== undefined && this.#space.copyIn(uva, into) === into.length
  }
  /** A guest's store. @returns as `read` */
  write(gpa: Gpa, from: Uint8Array): boolean {
    const uva = this.uva(gpa, from.length)
    return uva !== undefined && this.#space.copyOut(uva, from) === from.length
  }
  /** Where guest memory lies in the process; undefined when no slot holds all of it. */
  uva(gpa: Gpa, bytes: number): bigint | undefined {
    for (const { guest_phys_addr: first, memory_size: size, userspace_addr: uva } of this.#slots.values()) {
      if (gpa >= first && gpa + BigInt(bytes) <= first + size) return uva + (gpa - first)
    }
    return undefined
  }
}
