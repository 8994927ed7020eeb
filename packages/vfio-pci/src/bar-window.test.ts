import { VFIO_DEVICE_RESET } from '@ioasis/uapi'
import { expect, test } from 'vitest'
import { AT, BAR, openedWorld } from './world.test-kit.ts'

function mapped(pm = 8) {
  const world = openedWorld({ express: 'flr', pm })
  world.config.write(0x04, 2, 2)
  const uva = world.vmm.mmap({ fd: world.fd, bytes: 0x2000 })
  const load = (): bigint | string => world.vmm.memRead(uva, 4)
  return { ...world, uva, load }
}

test("a mapped BAR is the device's registers", () => {
  const { vmm, uva, model, load } = mapped()
  expect(vmm.memWrite(uva, 4, 0x1234n)).toBeUndefined()
  expect([load(), model.registers[1]]).toEqual([0x1234n, 0x12])
})
test('it is SIGBUS while memory is off, in D3hot and asleep, and comes back by itself', () => {
  const { config, load } = mapped()
  const states: (bigint | string)[] = []
  for (const [at, value] of [
    [0x04, 0],
    [0x04, 2],
    [AT.pm + 4, 3],
    [AT.pm + 4, 0],
  ] as const) {
    config.write(at, 2, value)
    states.push(load())
  }
  expect(states).toEqual(['SIGBUS', 0n, 'SIGBUS', 0n])
})
test('a reset takes it away for its time; the last hold on the file for good', () => {
  const { vmm, fd, uva, load, session } = mapped()
  const told: boolean[] = []
  const mapping = session().mmap(vmm.caller, { offset: 0n, bytes: 0x1000n, read: true, write: true, shared: true })
  if (mapping.kind === 'window') mapping.window.onRevoke((revoked) => told.push(revoked))
  expect(mapping.kind === 'window' && mapping.window.hpa).toBe(BAR.memory)
  vmm.ioctl(fd, VFIO_DEVICE_RESET)
  expect([load(), told]).toEqual([0n, [true, false]])
  vmm.close(fd)
  expect([load(), told.at(-1)]).toEqual([0n, false])
  vmm.munmap(uva, 0x2000)
  expect(told.at(-1)).toBe(true)
})
test('ports, private mappings, the configuration space and what lies beyond the end cannot be mapped', () => {
  const { vmm, fd } = openedWorld({ bars: ['memory', 'io', 'rom'] })
  for (const region of [1, 3, 6, 7, 9])
    expect(() => vmm.mmap({ fd, bytes: 4096, offset: BigInt(region) << 40n })).toThrow('EINVAL')
  expect(() => vmm.mmap({ fd, bytes: 4096, shared: false })).toThrow('EINVAL')
  expect(() => vmm.mmap({ fd, bytes: 0x2000, offset: 0x1000n })).toThrow('EINVAL')
})
