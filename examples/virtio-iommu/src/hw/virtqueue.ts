/** The device's side of a queue, VIRTIO 1.2 "2.7 Split Virtqueues": bus accesses, which see what CPUs have in their caches. */
import { type HostMemory, type Hpa, type RegisterFile } from '@ioasis/core'
import { DESC, DESCRIPTOR, DEVICE, type QueueName, type RegisterName, REGISTERS, SIZE } from '../spec/virtio-iommu.ts'

const ON = DEVICE.FEATURES_OK | DEVICE.DRIVER_OK

/** A queue that its registers describe. */
export function deviceQueue(name: QueueName, registers: RegisterFile<RegisterName>, memory: HostMemory) {
  let served = 0
  registers.onWrite(`${name}_READY`, () => void (served = 0))
  const part = (which: 'DESC' | 'DRIVER' | 'DEVICE') => Number(registers.load(REGISTERS[`${name}_${which}`].offset, 8))
  /** Memory alone: the device does not reach registers, its own included. What does not answer reads as ones. */
  const read = (hpa: Hpa, bytes: number): Uint8Array => {
    const into = new Uint8Array(bytes).fill(0xff)
    if (memory.isMemory(hpa, bytes)) (memory.snoop ?? memory).read(hpa, into)
    return into
  }
  const index = (hpa: Hpa): number => new DataView(read(hpa, 2).buffer).getUint16(0, true)
  const write = (hpa: Hpa, data: Uint8Array): number =>
    memory.isMemory(hpa, data.length) ? (memory.snoop ?? memory).write(hpa, data) : 0
  /** Follows descriptors. When they break a rule, both queues stop until reset. @returns what to read, and where to write */
  const follow = (head: number) => {
    const [readable, room]: [number[], { hpa: Hpa; bytes: number }[]] = [[], []]
    for (let at = head, n = 0; n < SIZE.QUEUE && at < SIZE.QUEUE; n++) {
      const { hpa, bytes, flags, next } = DESCRIPTOR.decode(read(part('DESC') + DESCRIPTOR.size * at, DESCRIPTOR.size))
      if (bytes > SIZE.PART || flags > (DESC.NEXT | DESC.WRITE)) break
      if ((flags & DESC.WRITE) !== 0) room.push({ hpa: Number(hpa), bytes })
      else readable.push(...read(Number(hpa), bytes))
      if ((flags & DESC.NEXT) === 0) return { request: Uint8Array.from(readable), room }
      at = next
    }
    registers.set('STATUS', registers.lo('STATUS') | DEVICE.NEEDS_RESET)
    return undefined
  }
  /** Takes a buffer, gives it back with the answer, or with nothing where that has no room. @returns whether there was one */
  return (answer: (request: Uint8Array) => Uint8Array): boolean => {
    if ((registers.lo('STATUS') & (ON | DEVICE.NEEDS_RESET)) !== ON || registers.lo(`${name}_READY`) === 0) return false
    const offered = (index(part('DRIVER') + 2) - served) & 0xffff
    if (offered === 0) return false
    const head = index(part('DRIVER') + 4 + 2 * (served % SIZE.QUEUE))
    const chain = follow(offered <= SIZE.QUEUE ? head : SIZE.QUEUE)
    if (!chain) return false
    const data = answer(chain.request)
    const fits = chain.room.reduce((sum, { bytes }) => sum + bytes, 0) >= data.length
    let done = 0
    for (const { hpa, bytes } of fits ? chain.room : []) done += write(hpa, data.subarray(done, done + bytes))
    write(part('DEVICE') + 4 + 8 * (served % SIZE.QUEUE), new Uint8Array(Uint32Array.of(head, done).buffer))
    served = (served + 1) & 0xffff
    write(part('DEVICE') + 2, Uint8Array.of(served, served >>> 8))
    return true
  }
}
