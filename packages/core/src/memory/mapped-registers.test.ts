import { expect, test } from 'vitest'
import { HostMemory } from './host-memory.ts'
import { MappedRegisters } from './mapped-registers.ts'
import { makeCpus } from './memory-cpu.ts'

test('reaches registers with accesses of their width, at their place', () => {
  const memory = new HostMemory()
  const seen: string[] = []
  memory.addMmio(0xfed8_0000, 0x1000, {
    load: (offset, size) => {
      seen.push(`load ${offset} ${size}`)
      return 0xffff_ffff_8000_0001n
    },
    store: (offset, size, value) => seen.push(`store ${offset} ${size} ${value.toString(16)}`),
  })
  const registers = new MappedRegisters(makeCpus(memory, undefined, 1)[0], 0xfed8_0000)
  expect([registers.read(0x10), registers.read64(0x18)]).toEqual([-0x7fff_ffff, 0xffff_ffff_8000_0001n])
  registers.write(0x20, -1)
  registers.write64(0x28, 5n)
  expect(seen).toEqual(['load 16 4', 'load 24 8', 'store 32 4 ffffffff', 'store 40 8 5'])
})
