import { expect, test } from 'vitest'
import { AT, openedWorld } from '../world.test-kit.ts'

const CONTROL = AT.pm + 4

test('D3hot and back: registers survive a function that forgets them', () => {
  const { config, fn } = openedWorld({ pm: 0 })
  config.write(0x04, 2, 6)
  config.write(CONTROL, 2, 3)
  expect([config.read(CONTROL, 2) & 3, fn('00:01.0').powerState]).toEqual([3, 3])
  config.write(CONTROL, 2, 0)
  expect([fn('00:01.0').powerState, config.read(0x04, 2), fn('00:01.0').barAddress(0) !== undefined]).toEqual([
    0,
    6,
    true,
  ])
})
test('from D3hot only D0 can be reached, and events cannot be asked for', () => {
  const { config } = openedWorld({ pm: 8 })
  config.write(CONTROL, 2, 3)
  config.write(CONTROL, 2, 1)
  expect(config.read(CONTROL, 2) & 3).toBe(3)
  config.write(CONTROL, 2, 0x8103)
  expect(config.read(CONTROL, 2) & 0x8100).toBe(0)
})
test('registers cannot be reached in D3hot', () => {
  const { config, vmm, fd } = openedWorld({ pm: 8 })
  config.write(0x04, 2, 2)
  config.write(CONTROL, 2, 3)
  expect(() => vmm.pread(fd, 0, new Uint8Array(4))).toThrow('EIO')
})
