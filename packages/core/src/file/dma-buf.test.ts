import { expect, test } from 'vitest'
import { type DmaBuf, isDmaBuf } from './dma-buf.ts'

const release = (): void => undefined

test('a file is a dma-buf by what it carries', () => {
  const buffer: DmaBuf = { dmaBuf: { bytes: 0n, ranges: [], revoked: false, onRevoke: () => release }, release }
  expect([isDmaBuf(buffer), isDmaBuf({ release })]).toEqual([true, false])
})
