import { expect, test } from 'vitest'
import { amdMachine } from '../machine.test-kit.ts'
import { FunctionCaps } from './function-caps.ts'

const state = (fn: ReturnType<typeof amdMachine>['able']['fn']) => ({
  ats: fn.readConfig(0x106, 2),
  pri: fn.readConfig(0x114, 2),
  allocation: fn.readConfig(0x11c, 4),
  pasid: fn.readConfig(0x126, 2),
})

test('switches PASIDs, ATS and page requests on, with 32 requests at most, and off again', () => {
  using m = amdMachine()
  const { fn, device } = m.able
  device.attach(device.blocked, {})
  const caps = new FunctionCaps(fn, true)
  expect([caps.ats, caps.pri, caps.pasid, caps.maxPasids]).toEqual([true, true, true, 65536])
  caps.enableAll(true)
  expect(state(fn)).toEqual({ ats: 0x8000, pri: 1, allocation: 32, pasid: 1 })
  expect([caps.depth, caps.responseHasPasid]).toEqual([8, true])
  caps.disableAll()
  expect(state(fn)).toMatchObject({ ats: 0, pri: 0, pasid: 0 })
})
test('without units that answer translation requests there is neither ATS nor what needs it', () => {
  using m = amdMachine()
  const { fn, device } = m.able
  device.attach(device.blocked, {})
  const caps = new FunctionCaps(fn, true)
  caps.enableAll(false)
  expect(state(fn)).toMatchObject({ ats: 0, pri: 0, pasid: 1 })
})
test('where units know no page requests nobody looks', () => {
  using m = amdMachine()
  const caps = new FunctionCaps(m.able.fn, false)
  expect([caps.ats, caps.pri, caps.pasid, caps.maxPasids]).toEqual([false, false, false, 0])
})
