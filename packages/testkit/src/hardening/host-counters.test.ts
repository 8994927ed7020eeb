import { Client, createHost, Processes } from '@ioasis/core'
import { expect, test } from 'vitest'
import { countersThatChanged, hostCounters, processCounters } from './host-counters.ts'

test('a process leaves nothing in the numbers of its host', () => {
  const host = createHost()
  const before = hostCounters(host)
  const vmm = new Client(host, host.get(Processes).spawn())
  const was = processCounters(host, vmm)
  vmm.put(Uint8Array.of(1))
  expect(countersThatChanged(was, processCounters(host, vmm))).toEqual([])
  vmm.memfd(4096)
  expect(countersThatChanged(was, processCounters(host, vmm))).toEqual(['descriptors: 0 before, 1 after'])
  expect(countersThatChanged(before, hostCounters(host))).toEqual([
    'bytes of processes: 0 before, 4096 after',
    'processes: 0 before, 1 after',
  ])
  vmm.exit()
  expect(countersThatChanged(before, hostCounters(host))).toEqual([])
  host.close()
})
