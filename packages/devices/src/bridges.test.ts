import { expect, test } from 'vitest'
import { express } from './capabilities.ts'
import { ACS, bdf } from '@ioasis/core'
import { downstreamPort, pcieToPciBridge, pciToPciBridge, rootPort, rootPortModel, upstreamPort } from './bridges.ts'
import { dmaEngine } from './dma-engine.ts'
import { edu } from './edu.ts'
import { Rig } from './rig.test-kit.ts'

test('a function behind bridges finds them above it', () => {
  const rig = new Rig([
    rootPort({ at: '00:01.0', secondary: 1, subordinate: 4 }),
    upstreamPort({ at: '01:00.0', secondary: 2, subordinate: 4 }),
    downstreamPort({ at: '02:00.0', secondary: 3 }),
    downstreamPort({ at: '02:01.0', secondary: 4 }),
    dmaEngine({ at: '03:00.0' }),
    dmaEngine({ at: '04:00.0' }),
  ])
  const above = rig.fn('04:00.0').parent
  expect(above?.name).toBe('0000:02:01.0')
  expect(above?.bridge?.kind).toBe('downstream')
  expect(above?.parent?.bridge).toEqual({ kind: 'upstream', secondary: 2, subordinate: 4 })
  expect(above?.parent?.parent?.bridge?.kind).toBe('rootPort')
})

test('requests from behind a PCIe-to-PCI bridge carry its secondary bus, from behind a PCI bridge its own id', () => {
  const rig = new Rig([
    rootPort({ at: '00:01.0', secondary: 1, subordinate: 2 }),
    pcieToPciBridge({ at: '01:00.0', secondary: 2 }),
    edu({ at: '02:05.0' }),
    pciToPciBridge({ at: '00:1e.0', secondary: 3 }),
    edu({ at: '03:01.0' }),
  ])
  expect(rig.fn('02:05.0').requester).toBe(bdf(2, 0, 0))
  expect(rig.fn('03:01.0').requester).toBe(bdf(0, 0x1e, 0))
})

test('a port shows the ACS asked for, by default what Linux needs for isolation', () => {
  const rig = new Rig([
    rootPort({ at: '00:01.0', secondary: 1 }),
    rootPort({ at: '00:02.0', secondary: 2, acs: false }),
    rootPort({ at: '00:03.0', secondary: 3, acs: ACS.SV }),
  ])
  const bits = (at: string): number => {
    const fn = rig.fn(at)
    const offset = fn.extendedCapability(0x0d)
    return offset && fn.readConfig(offset + 4, 2)
  }
  expect([bits('00:01.0'), bits('00:02.0'), bits('00:03.0')]).toEqual([0x1d, 0, 1])
})

test('refuses bus numbers that lead nowhere', () => {
  expect(() => rootPortModel({ secondary: 0 })).toThrow('root-port: buses 0, 0-0')
  expect(() => new Rig([rootPort({ at: '00:01.0', secondary: 4, subordinate: 3 })])).toThrow(
    'primary < secondary <= subordinate',
  )
})

test('ports are told apart by their type', () => {
  expect(express({ type: 'downstream' }).body[2]).toBe(0x62)
})
