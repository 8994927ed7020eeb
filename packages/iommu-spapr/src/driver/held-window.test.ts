import { expect, test } from 'vitest'
import { HeldWindow } from './held-window.ts'

class Window extends HeldWindow {
  freed = 0
  protected override released(): void {
    this.freed++
  }
}

test('is freed once, with its last holder, and cannot be let go again', () => {
  const window = new Window('test')
  window.hold()
  window.put()
  expect(window.freed).toBe(0)
  window.put()
  expect(window.freed).toBe(1)
  expect(() => {
    window.put()
  }).toThrow('test: a window was let go more often than held')
  expect(window.freed).toBe(1)
})

test('keeps user addresses by entry', () => {
  const window = new Window('test')
  window.setUserAddress(70_000, 0x7000_0000_1000)
  expect([window.userAddress(70_000), window.userAddress(69_999)]).toEqual([0x7000_0000_1000, 0])
})
