import { Client, createHost, Pages, Processes } from '@ioasis/core'
import { expect, test } from 'vitest'
import { memoryDevices } from './memory-devices.ts'

test('/dev/zero reads as zeros, swallows writes, and maps fresh memory', () => {
  using host = createHost({ plugins: [memoryDevices()] })
  const process = new Client(host, host.get(Processes).spawn())
  const zero = process.open('/dev/zero')
  const into = Uint8Array.of(1, 2, 3)
  expect([process.read(zero, into), ...into]).toEqual([3, 0, 0, 0])
  expect(process.write(zero, Uint8Array.of(1))).toBe(1)
  const [one, other] = [process.mmap({ fd: zero, bytes: 4096 }), process.mmap({ fd: zero, bytes: 4096 })]
  process.poke(one, Uint8Array.of(7))
  expect([process.peek(one, 1)[0], process.peek(other, 1)[0]]).toEqual([7, 0])
  process.exit()
  expect(host.get(Pages).allocated).toBe(0)
})

test('/dev/null is empty', () => {
  using host = createHost({ plugins: [memoryDevices()] })
  const process = new Client(host, host.get(Processes).spawn())
  const fd = process.open('/dev/null')
  expect([process.read(fd, new Uint8Array(4)), process.write(fd, new Uint8Array(4))]).toEqual([0, 4])
})
