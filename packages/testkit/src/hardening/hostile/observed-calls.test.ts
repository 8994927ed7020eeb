import { ioctlCall } from '@ioasis/core'
import { expect, test } from 'vitest'
import type { Command } from './commands.ts'
import { CommandIndex } from './observed-calls.ts'

const command = (name: string, file: string, sub?: number): Command => ({
  name,
  call: ioctlCall(name, 112),
  files: new Set([file]),
  ...(sub === undefined ? {} : { sub }),
})
const index = new CommandIndex([command('A', 'one'), command('B', 'two'), command('B_SUB', 'two', 7)])

test('one number is several calls: the file tells which, and the second word which sub-operation', () => {
  const names = [
    index.find(112, ['one'], 7),
    index.find(112, ['two'], 7),
    index.find(112, ['two'], 8),
    index.find(1, [], 0),
  ]
  expect(names.map((found) => found?.name)).toEqual(['A', 'B_SUB', 'B', undefined])
})
