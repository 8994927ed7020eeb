import { createHost, IoctlTable } from '@ioasis/core'
import { expect, test } from 'vitest'
import { vfio } from './plugin.ts'
import { vfioWorld } from './world.test-kit.ts'

const has = (container: 'type1' | 'iommufd' | 'none'): boolean =>
  vfioWorld({ kernel: { container } }).exists('/dev/vfio/vfio')

test("the container is type1's, iommufd's or nobody's, as the kernel was built", () => {
  expect([has('type1'), has('iommufd'), has('none')]).toEqual([true, false, false])
})
test('everybody may open the container, and root alone the rest', () => {
  const { add, spawn } = vfioWorld()
  add('00:01.0')
  const nobody = spawn({ uid: 65534, gid: 65534 })
  expect(nobody.open('/dev/vfio/vfio')).toBe(0)
  expect(() => nobody.open('/dev/vfio/devices/vfio0')).toThrow('EACCES')
})
test('contributes the tables of its files', () => {
  using host = createHost({ plugins: [vfio()] })
  const files = host.all(IoctlTable).map(({ file }) => file)
  expect(new Set(files)).toEqual(new Set(['vfio-device', 'vfio-group', 'vfio-container']))
})
