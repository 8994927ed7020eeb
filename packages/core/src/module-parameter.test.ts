import { expect, test } from 'vitest'
import { addLimit, addSwitch } from './module-parameter.ts'
import { SysfsTree } from './sysfs.ts'

test('a switch knows the words of the kernel', () => {
  const sysfs = new SysfsTree()
  const value = { enabled: false }
  addSwitch(sysfs, '/sys/x', value)
  const set = (text: string): string => {
    sysfs.write('/sys/x', text)
    return sysfs.read('/sys/x')
  }
  expect(['Y\n', 'n', '1', 'off', 'On', '0'].map(set)).toEqual(['Y\n', 'N\n', 'Y\n', 'N\n', 'Y\n', 'N\n'])
  expect(() => set('maybe')).toThrow('EINVAL')
})
test('a limit is a number of 32 bits', () => {
  const sysfs = new SysfsTree()
  const value = { limit: 7 }
  addLimit(sysfs, '/sys/x', value)
  sysfs.write('/sys/x', '0x10\n')
  expect([value.limit, sysfs.read('/sys/x')]).toEqual([16, '16\n'])
  expect(() => sysfs.write('/sys/x', '-1')).toThrow('EINVAL')
  expect(() => sysfs.write('/sys/x', '4294967296')).toThrow('ERANGE')
})
