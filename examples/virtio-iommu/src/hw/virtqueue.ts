/** The device's side of a queue, VIRTIO 1.2 "2.7 Split Virtqueues": bus accesses, which see what CPUs have in their caches. */
import { type HostMemory, type Hpa, hpaOf, type RegisterFile } from '@ioasis/core'
import { DESC, type QueueName, type RegisterName, SIZE } from '../spec/virtio.ts'

/** Longest part of a request, bytes: a queue that offers more is broken. */
const LONGEST = 0x1000

/** A request: what the device may read, and where it may write. */
export type Chain = {
  readonly head: number
  readonly readable: Uint8Array
  readonly room: readonly { readonly hpa: Hpa; readonly bytes: number }[]
}

/** A queue that its registers describe. */
export function deviceQueue(name: QueueName, registers: RegisterFile<RegisterName>, memory: HostMemory) {
  const state = { taken: 0, given: 0, broken: false }
  registers.onWrite(`${name}_READY`, () => void Object.assign(state, { taken: 0, given: 0, broken: false }))
  const at = (part: 'DESC' | 'DRIVER' | 'DEVICE'): Hpa =>
    hpaOf(registers.hi(`${name}_${part}`), registers.lo(`${name}_${part}`))
  /** Memory alone: the device does not reach registers, its own included. */
  const read = (hpa: Hpa, bytes: number): DataView | undefined => {
    const into = new Uint8Array(bytes)
    const whole = memory.isMemory(hpa, bytes) && (memory.snoop ?? memory).read(hpa, into) === bytes
    return whole ? new DataView(into.buffer) : undefined
  }
  const write = (hpa: Hpa, data: Uint8Array): number =>
    memory.isMemory(hpa, data.length) ? (memory.snoop ?? memory).write(hpa, data) : 0

  /** Follows the descriptors. @returns undefined when they break a rule */
  const follow = (head: number): Chain | undefined => {
    const [readable, room]: [number[], { hpa: Hpa; bytes: number }[]] = [[], []]
    for (let index = head, n = 0; n < SIZE.QUEUE && index < SIZE.QUEUE; n++) {
      const descriptor = read(at('DESC') + 16 * index, 16)
      if (!descriptor) return undefined
      const [hpa, bytes] = [Number(descriptor.getBigUint64(0, true)), descriptor.getUint32(8, true)]
      const flags = descriptor.getUint16(12, true)
      const part = bytes <= LONGEST && flags <= (DESC.NEXT | DESC.WRITE) ? read(hpa, bytes) : undefined
      if (!part) return undefined
      if ((flags & DESC.WRITE) !== 0) room.push({ hpa, bytes })
      else readable.push(...new Uint8Array(part.buffer))
      if ((flags & DESC.NEXT) === 0) return { head, readable: Uint8Array.from(readable), room }
      index = descriptor.getUint16(14, true)
    }
    return undefined
  }
  return {
    /** The next request. @returns undefined: there is none, or the driver broke a rule, now or since the queue was made ready */
    take(): Chain | undefined {
      if (state.broken || registers.lo(`${name}_READY`) === 0) return undefined
      const offered = read(at('DRIVER') + 2, 2)?.getUint16(0, true)
      if (offered === state.taken) return undefined
      const sane = offered !== undefined && ((offered - state.taken) & 0xffff) <= SIZE.QUEUE
      const head = read(at('DRIVER') + 4 + 2 * (state.taken % SIZE.QUEUE), 2)?.getUint16(0, true)
      const chain = sane && head !== undefined ? follow(head) : undefined
      state.broken = chain === undefined
      state.taken = (state.taken + 1) & 0xffff
      return chain
    },
    /** Gives a request back with all that the device writes; with nothing where that has no room. */
    give({ head, room }: Chain, data: Uint8Array): void {
      const fits = room.reduce((sum, { bytes }) => sum + bytes, 0) >= data.length
      let done = 0
      for (const { hpa, bytes } of fits ? room : []) done += write(hpa, data.subarray(done, done + bytes))
      const entry = new Uint8Array(Uint32Array.of(head, done).buffer)
      write(at('DEVICE') + 4 + 8 * (state.given % SIZE.QUEUE), entry)
      state.given = (state.given + 1) & 0xffff
      write(at('DEVICE') + 2, Uint8Array.of(state.given, state.given >>> 8))
    },
    isBroken: (): boolean => state.broken,
  }
}
