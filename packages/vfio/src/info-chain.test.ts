import { expect, test } from 'vitest'
import { vfioWorld } from './world.test-kit.ts'
import { writeChain } from './info-chain.ts'

const ONE = [{ id: 1, version: 2, body: Uint8Array.of(9) }]

test('without capabilities the size stays as it was said', () => {
  const { vmm } = vfioWorld()
  expect(writeChain(vmm.caller, 0n, 32, 4096, [])).toEqual({ argsz: 4096, cap_offset: 0 })
})
test('writes the chain behind the struct, offsets counted from its start', () => {
  const { vmm } = vfioWorld()
  const uva = vmm.mmap({ bytes: 4096 })
  expect(writeChain(vmm.caller, uva, 32, 48, ONE)).toEqual({ argsz: 48, cap_offset: 32 })
  expect(vmm.peek(uva + 32n, 9)).toEqual(Uint8Array.of(1, 0, 2, 0, 0, 0, 0, 0, 9))
})
test('what does not fit is not written; room that cannot be written is EFAULT', () => {
  const { vmm } = vfioWorld()
  expect(writeChain(vmm.caller, 0n, 32, 47, ONE)).toEqual({ argsz: 48, cap_offset: 0 })
  expect(() => writeChain(vmm.caller, 0n, 32, 48, ONE)).toThrow('EFAULT')
})
