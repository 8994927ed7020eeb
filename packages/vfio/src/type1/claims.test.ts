import { expect, test } from 'vitest'
import { vfioWorld } from '../world.test-kit.ts'
import { Type1Backend } from './backend.ts'
import { Type1Claims } from './claims.ts'

test('each page a domain may reach is kept, and what is pinned is charged', () => {
  const { vmm, add, vfio } = vfioWorld()
  add('00:01.0')
  const backend = new Type1Backend(4096)
  const type1 = backend.open(vmm.caller, 3)
  const [group] = vfio.groups
  group?.iommu?.claim(type1, false)
  if (group) type1.attach(group, vmm.caller)
  const claims = new Type1Claims(backend, 4096)
  expect(claims.claims().map(({ kind }) => kind)).toEqual(['kept', 'count'])
  const vaddr = vmm.mmap({ bytes: 0x2000 })
  type1.map(vmm.caller, { iova: 0x1000n, size: 0x2000n, vaddr }, { read: true, write: true })
  const found = claims.claims()
  expect(found.at(-1)).toEqual({ kind: 'count', what: 'type1 pages charged', actual: 2, expected: 2 })
  expect(found.reduce((bytes, claim) => bytes + (claim.kind === 'kept' ? claim.bytes : 0n), 0n)).toBe(0x2000n)
  expect(claims.claims({ first: 0n, last: 0xfffn }).filter(({ kind }) => kind === 'kept').length).toBe(1)
})
