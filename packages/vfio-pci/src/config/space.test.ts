import { expect, test } from 'vitest'
import { AT, openedWorld } from '../world.test-kit.ts'

const read = ({ vmm, fd }: ReturnType<typeof openedWorld>, at: number, bytes: number): number[] => {
  const into = new Uint8Array(bytes)
  vmm.pread(fd, (7n << 40n) + BigInt(at), into)
  return [...into]
}

test('reads of any length at any offset, cut at dwords and capabilities', () => {
  const world = openedWorld({ pm: 0 })
  expect(read(world, 1, 3)).toEqual([0x12, 0xe8, 0x11])
  expect(read(world, 0, 0x40).length).toBe(0x40)
  expect(read(world, AT.pm - 2, 4)).toEqual([0, 0, 1, 0])
})
test('beyond the end is EFAULT, even for the part that lies before', () => {
  const world = openedWorld()
  expect(read(world, 0xfc, 4)).toEqual([0, 0, 0, 0])
  expect(() => read(world, 0xfe, 4)).toThrow('EFAULT')
  expect(() => world.config.write(0x100, 1, 0)).toThrow('EFAULT')
  expect(read(world, 0x100, 0)).toEqual([])
})
test("vendor-specific bytes and unknown ones are the hardware's own", () => {
  const { config, fn } = openedWorld({ more: ['vendor'] })
  expect([config.read(AT.vendor, 1), config.read(AT.vendor + 3, 1)]).toEqual([9, 1])
  config.write(AT.vendor + 4, 1, 0xff)
  expect(fn('00:01.0').readConfig(AT.vendor + 4, 1)).toBe(config.read(AT.vendor + 4, 1))
})
test('the user sees a pin only where a line is connected', () => {
  expect([openedWorld({ pin: 1 }).session().config.interruptPin, openedWorld().session().config.interruptPin]).toEqual([
    1, 0,
  ])
})
