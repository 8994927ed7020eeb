import { expect, test } from 'vitest'
import { type IommufdObject, ObjectTable } from './object.ts'
import { errnoOf } from './world.test-kit.ts'

class Thing implements IommufdObject {
  readonly kind = 'ioas'
  id = 0
  users = 0
  destroyed = 0
  destroy(): void {
    this.destroyed++
  }
}

test('ids are the lowest free number from 1 on', () => {
  const table = new ObjectTable()
  const things = [1, 2, 3].map(() => table.add(new Thing()))
  expect(things.map((t) => t.id)).toEqual([1, 2, 3])
  table.destroy(2)
  table.destroy(1)
  expect([table.add(new Thing()).id, table.add(new Thing()).id, table.add(new Thing()).id]).toEqual([1, 2, 4])
})

test('an object that somebody uses cannot be destroyed, and one that is gone is not found', () => {
  const table = new ObjectTable()
  const thing = table.add(new Thing())
  thing.users++
  expect(errnoOf(() => table.destroy(1))).toBe('EBUSY')
  thing.users--
  table.destroy(1)
  expect(thing.destroyed).toBe(1)
  expect(errnoOf(() => table.destroy(1))).toBe('ENOENT')
  expect(errnoOf(() => table.destroy(0))).toBe('ENOENT')
})

test('an object of another class is not found', () => {
  class Other extends Thing {}
  const table = new ObjectTable()
  table.add(new Thing())
  expect(table.find(1, Thing).id).toBe(1)
  expect(errnoOf(() => table.find(1, Other))).toBe('ENOENT')
})

test('an object whose making fails uses no id', () => {
  const table = new ObjectTable()
  const fail = (thing: Thing): void => {
    expect(thing.id).toBe(1)
    throw new Error('no')
  }
  expect(() => table.make(() => new Thing(), fail)).toThrow('no')
  expect([table.size, table.add(new Thing()).id]).toEqual([0, 1])
})

test('clearing destroys those that use before those that are used', () => {
  const table = new ObjectTable()
  const order: number[] = []
  const used = table.add(new Thing())
  const user = table.add(new Thing())
  used.users++
  used.destroy = () => order.push(used.id)
  user.destroy = () => {
    order.push(user.id)
    used.users--
  }
  table.clear()
  expect([order, table.size]).toEqual([[2, 1], 0])
})

test('objects that keep each other are a broken promise', () => {
  const table = new ObjectTable()
  table.add(new Thing()).users++
  expect(() => table.clear()).toThrow('keep each other')
})
