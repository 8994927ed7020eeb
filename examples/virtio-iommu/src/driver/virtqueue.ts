/** The driver's side of a queue: slots of two descriptors, one that the device reads and one that it writes. */
import type { Cpu, Hpa, PageAllocator } from '@ioasis/core'
import { DESC, type QueueName, REGISTERS, SIZE } from '../spec/virtio.ts'

/** Requests in flight at most, and bytes of one with its answer. */
export const [SLOTS, SLOT_BYTES] = [SIZE.QUEUE / 2, 256]
/** Where the rings and the buffers lie behind the descriptors, and all ends. */
const [DRIVER, DEVICE, BUFFERS, BYTES] = [0x1000, 0x1800, 0x4000, 0x4000 + SLOTS * SLOT_BYTES]

/** Makes a queue and tells the device of it. @throws UapiError ENOMEM */
export function driverQueue(name: QueueName, cpu: Cpu, registers: Hpa, pages: PageAllocator) {
  const base = pages.alloc(BYTES, 'virtqueue')
  let [offered, seen] = [0, 0]
  for (const [part, at] of Object.entries({ DESC: 0, DRIVER, DEVICE }))
    cpu.store(registers + REGISTERS[`${name}_${part as 'DESC'}`].offset, 8, BigInt(base + at))
  cpu.store(registers + REGISTERS[`${name}_READY`].offset, 4, 1n)
  const describe = (index: number, hpa: Hpa, bytes: number, flags: number): void => {
    cpu.store(base + 16 * index, 8, BigInt(hpa))
    cpu.store(base + 16 * index + 8, 8, BigInt(bytes) | (BigInt(flags) << 32n) | (BigInt(index + 1) << 48n))
  }
  return {
    /** Offers a slot. @param request may be empty @param room bytes for the answer */
    offer(slot: number, request: Uint8Array, room: number): void {
      const buffer = base + BUFFERS + slot * SLOT_BYTES
      cpu.write(buffer, request)
      describe(2 * slot, buffer, request.length, DESC.NEXT)
      describe(2 * slot + 1, buffer + request.length, room, DESC.WRITE)
      const head = 2 * slot + (request.length > 0 ? 0 : 1)
      cpu.store(base + DRIVER + 4 + 2 * (offered % SIZE.QUEUE), 2, BigInt(head))
      offered = (offered + 1) & 0xffff
      cpu.store(base + DRIVER + 2, 2, BigInt(offered))
    },
    /** A slot that came back, and what the device wrote; undefined: none. */
    next(): { readonly slot: number; readonly answer: Uint8Array } | undefined {
      if (Number(cpu.load(base + DEVICE + 2, 2)) === seen) return undefined
      const at = base + DEVICE + 4 + 8 * (seen % SIZE.QUEUE)
      seen = (seen + 1) & 0xffff
      const [written, answer] = [Number(cpu.load(at, 4)) | 1, new Uint8Array(Number(cpu.load(at + 4, 4)))]
      cpu.read(Number(cpu.load(base + 16 * written, 8)), answer)
      return { slot: written >>> 1, answer }
    },
  }
}
