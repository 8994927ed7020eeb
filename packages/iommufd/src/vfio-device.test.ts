import { afterEach, beforeEach, expect, test } from 'vitest'
import { HWPT_FLAG } from './uapi.ts'
import { errnoOf, World } from './world.test-kit.ts'

let world: World
let fd: number
let ioas: number
let device: ReturnType<World['bind']>
let hwpt: number
beforeEach(() => {
  world = new World({ pasidBits: 20 })
  fd = world.open()
  ioas = world.ioas(fd)
  device = world.bind(fd, 'a')
  hwpt = world.hwpt(fd, device.id, ioas, HWPT_FLAG.PASID)
})
afterEach(() => {
  device.unbind()
  world.end()
})

test('attaching what is attached replaces, for each PASID on its own', () => {
  const second = world.hwpt(fd, device.id, ioas, HWPT_FLAG.PASID)
  expect([device.attach(hwpt), device.attach(hwpt, 5), device.attach(second, 5)]).toEqual([hwpt, hwpt, second])
  expect(world.paper('a').pasids.get(5)).toBe(world.domains[1])
  device.detach(5)
  device.detach(5)
  expect(world.paper('a').attached).toBe(world.domains[0])
})

test('PASID 0 is the place of requests without one', () => {
  device.attach(hwpt)
  expect(errnoOf(() => device.attach(hwpt, 0))).toBe('EBUSY')
})

test('a PASID beyond what the function has, and one beyond what can be named, are refused differently', () => {
  device.attach(hwpt)
  expect(errnoOf(() => device.attach(hwpt, 1 << 20))).toBe('EINVAL')
  expect(errnoOf(() => device.attach(hwpt, 0x8000_0000))).toBe('ENOSPC')
})

test('a table that was not made for it takes no PASID, nor a function that has some attached', () => {
  const plain = world.hwpt(fd, device.id, ioas)
  device.attach(hwpt)
  expect(errnoOf(() => device.attach(plain, 5))).toBe('EINVAL')
  device.attach(hwpt, 5)
  expect(errnoOf(() => device.attach(plain))).toBe('EINVAL')
  device.detach(5)
  expect(device.attach(plain)).toBe(plain)
})

test('unbinding detaches everything', () => {
  device.attach(hwpt)
  device.attach(hwpt, 9)
  device.attach(hwpt, 3)
  device.unbind()
  expect(world.domains[0]?.users).toBe(0)
  device = world.bind(fd, 'a')
})
