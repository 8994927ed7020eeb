import { ioctlCall, struct, u32 } from '@ioasis/core'
import { expect, test } from 'vitest'
import { RandomSource } from '../../random-source.ts'
import { loadInteger } from '../../traces/payload.ts'
import type { Command } from './commands.ts'
import { ValuePool } from './value-pool.ts'

const members = { size: u32, dev_id: u32, flags: u32, out_dev_id: u32 }
const command = (name: string): Command => ({
  name,
  call: ioctlCall(name, 1, struct(name, members)),
  files: new Set(['file']),
})
const MAKE = command('MAKE')
const DESTROY = command('IOMMU_DESTROY')
const bytes = (...words: number[]): Uint8Array => new Uint8Array(Uint32Array.from(words).buffer)
const passed = (pool: ValuePool, ...words: number[]) => ({
  bytes: bytes(...words),
  payload: new Uint8Array(0),
  process: pool.process,
})

test('a struct of an earlier process comes with handles that are alive', () => {
  const pool = new ValuePool()
  pool.begin()
  pool.learn(MAKE, passed(pool, 16, 5, 6, 0), bytes(16, 5, 6, 7), true)
  pool.begin()
  pool.learn(command('OTHER'), passed(pool, 16, 0, 0, 0), bytes(16, 0, 0, 33), true)
  const random = new RandomSource(1)
  const ids = Array.from({ length: 20 }, () => loadInteger(pool.struct(MAKE, random)?.bytes ?? bytes(), 4, 4))
  expect(new Set(ids)).toEqual(new Set([0n, 33n]))
  expect(pool.struct(DESTROY, random)).toBeUndefined()
})
test('an id that was destroyed is not drawn again', () => {
  const pool = new ValuePool()
  pool.begin()
  pool.learn(MAKE, passed(pool, 16, 5, 6, 0), bytes(16, 5, 6, 7), true)
  pool.learn(DESTROY, passed(pool, 16, 7, 0, 0), bytes(16, 7, 0, 0), true)
  const random = new RandomSource(2)
  const ids = Array.from({ length: 20 }, () => loadInteger(pool.struct(DESTROY, random)?.bytes ?? bytes(), 4, 4))
  expect(new Set(ids)).toEqual(new Set([5n]))
})
