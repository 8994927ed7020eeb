/** The driver's side of a queue: slots of two descriptors, one that the device reads and one that it writes. */
import type { Cpu, MappedRegisters, PageAllocator } from '@ioasis/core'
import { DESC, DESCRIPTOR, type QueueName, REGISTERS, SIZE } from '../spec/virtio-iommu.ts'

/** Requests in flight at most, and bytes of one with its answer. */
export const [SLOTS, SLOT_BYTES] = [SIZE.QUEUE / 2, 256]
/** Where the rings and the buffers lie behind the descriptors, and all ends. */
const [DRIVER, DEVICE, BUFFERS, BYTES] = [0x1000, 0x1800, 0x4000, 0x4000 + SLOTS * SLOT_BYTES]

/** Makes a queue and tells the device of it. @throws UapiError ENOMEM */
export function driverQueue(name: QueueName, registers: MappedRegisters, cpu: Cpu, pages: PageAllocator) {
  const base = pages.alloc(BYTES, 'virtqueue')
  let [offered, seen] = [0, 0]
  registers.write64(REGISTERS[`${name}_DESC`].offset, BigInt(base))
  registers.write64(REGISTERS[`${name}_DRIVER`].offset, BigInt(base + DRIVER))
  registers.write64(REGISTERS[`${name}_DEVICE`].offset, BigInt(base + DEVICE))
  registers.write(REGISTERS[`${name}_READY`].offset, 1)
  const describe = (index: number, hpa: number, bytes: number, flags: number): void =>
    void cpu.write(base + DESCRIPTOR.size * index, DESCRIPTOR.make({ hpa: BigInt(hpa), bytes, flags, next: index + 1 }))
  return {
    /** Offers a slot. @param room bytes for the answer */
    offer(slot: number, room: number, request: Uint8Array = new Uint8Array(0)): void {
      const buffer = base + BUFFERS + slot * SLOT_BYTES
      cpu.write(buffer, request)
      describe(2 * slot, buffer, request.length, DESC.NEXT)
      describe(2 * slot + 1, buffer + request.length, room, DESC.WRITE)
      const head = BigInt(2 * slot + (request.length > 0 ? 0 : 1))
      cpu.store(base + DRIVER + 4 + 2 * (offered % SIZE.QUEUE), 2, head)
      offered = (offered + 1) & 0xffff
      cpu.store(base + DRIVER + 2, 2, BigInt(offered))
    },
    /** A slot that came back, and what the device wrote; undefined: none. */
    next(): { readonly slot: number; readonly answer: Uint8Array } | undefined {
      if (Number(cpu.load(base + DEVICE + 2, 2)) === seen) return undefined
      const at = base + DEVICE + 4 + 8 * (seen % SIZE.QUEUE)
      seen = (seen + 1) & 0xffff
      const [written, answer] = [cpu.loadWord(at) | 1, new Uint8Array(cpu.loadWord(at + 4))]
      cpu.read(Number(cpu.load(base + DESCRIPTOR.size * written, 8)), answer)
      return { slot: written >>> 1, answer }
    },
  }
}
