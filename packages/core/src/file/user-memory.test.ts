import { expect, test } from 'vitest'
import { createHost } from '../plugin/host.ts'
import { Processes } from '../process/process.ts'
import { Client } from './client.ts'
import { ret } from './rig.test-kit.ts'
import { readUser, readUser32, readUserText, writeUser } from './user-memory.ts'

const setUp = (): Client => {
  const host = createHost()
  return new Client(host, host.get(Processes).spawn())
}

test('bytes are read and written whole, or the call faults', () => {
  const client = setUp()
  const uva = client.mmap({ bytes: 4096, uva: 0x1000_0000n })
  writeUser(client.caller, uva + 4092n, Uint8Array.from([1, 2, 3, 0x80]), 'TEST')
  expect([...readUser(client.caller, uva + 4092n, 4, 'TEST'), readUser32(client.caller, uva + 4092n, 'TEST')]).toEqual([
    1, 2, 3, 0x80, 0x8003_0201,
  ])
  expect([
    ret(() => void readUser(client.caller, uva + 4093n, 4, 'TEST')),
    ret(() => writeUser(client.caller, uva + 4095n, new Uint8Array(2), 'TEST')),
  ]).toEqual(['EFAULT', 'EFAULT'])
})
test('a text ends at its zero byte, within the limit', () => {
  const client = setUp()
  const uva = client.putText('vfio-pci')
  expect(readUserText(client.caller, uva, 16, 'TEST')).toBe('vfio-pci')
  expect([
    ret(() => void readUserText(client.caller, uva, 8, 'TEST')),
    ret(() => void readUserText(client.caller, 0n, 8, 'TEST')),
  ]).toEqual(['EINVAL', 'EFAULT'])
})
test('a copy that a test makes fail faults, and writes nothing', () => {
  const client = setUp()
  const uva = client.put(Uint8Array.of(1))
  const { failures } = client.process.addressSpace.frames
  failures.arm(1, ['copy-out'])
  expect([1, 2].map(() => ret(() => writeUser(client.caller, uva, Uint8Array.of(7), 'TEST')))).toEqual(['EFAULT', 0])
  expect(failures.disarm()).toEqual({ kind: 'copy-out', what: 'TEST' })
})
