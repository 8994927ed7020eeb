import { expect, test } from 'vitest'
import { Cpus, createHost, parseBdf, Pci, type PciFunction, type Host } from '@ioasis/core'
import {
  buildConfig,
  DMA_ENGINE,
  dmaEngine,
  edu,
  express,
  pciTestdev,
  pcieToPciBridge,
  placed,
  rootPort,
  sriov,
  virtualConfig,
} from '@ioasis/devices'
import { firmware } from './firmware.ts'

const at = (host: Host, name: string): PciFunction => host.get(Pci).at(0, parseBdf(name)?.bdf ?? -1) as PciFunction

test('gives every BAR an address, aligned to its size', () => {
  using host = createHost({ plugins: [edu({ at: '00:01.0' }), pciTestdev({ at: '00:02.0' }), firmware()] })
  expect(at(host, '00:01.0').barAddress(0)).toBe(0xc000_0000)
  expect(at(host, '00:02.0').barAddress(0)).toBe(0xc010_0000)
  expect(at(host, '00:02.0').barAddress(1)).toBe(0x1000)
})

test('opens the windows of bridges, so that registers behind two of them answer', () => {
  using host = createHost({
    plugins: [
      rootPort({ at: '00:03.0', secondary: 1 }),
      dmaEngine({ at: '01:00.0' }),
      rootPort({ at: '00:04.0', secondary: 2, subordinate: 3 }),
      pcieToPciBridge({ at: '02:00.0', secondary: 3 }),
      edu({ at: '03:01.0' }),
      firmware(),
    ],
  })
  const [cpu] = host.get(Cpus)
  expect(cpu.load((at(host, '01:00.0').barAddress(0) as number) + DMA_ENGINE.ID, 4)).toBe(0x0041_4d44n)
  expect(cpu.load(at(host, '03:01.0').barAddress(0) as number, 4)).toBe(0x0100_00edn)
})

test('leaves addresses that were given, and goes around them', () => {
  using host = createHost({
    plugins: [edu({ at: '00:01.0', addresses: { 0: 0xc000_0000 } }), edu({ at: '00:02.0' }), firmware()],
  })
  expect(at(host, '00:01.0').barAddress(0)).toBe(0xc000_0000)
  expect(at(host, '00:02.0').barAddress(0)).toBe(0xc010_0000)
})

test('gives virtual functions their addresses beforehand', () => {
  const bars = [{ index: 0, size: 0x4000, space: 'memory', wide: true, prefetchable: true } as const]
  const capabilities = [
    express({ flr: true }),
    { ...sriov({ vfs: 4, offset: 0x80, stride: 1, device: 2, link: 0x28 }), at: 0x100 },
  ]
  const config = buildConfig({ vendor: 0x1234, device: 1, classCode: 0x020000, capabilities })
  const virtualFunctions = { bars, make: () => ({ name: 'virtual', config: virtualConfig(config), bars }) }
  const one = placed('physical', { at: '00:05.0' }, [], () => ({
    name: 'physical',
    config,
    bars: [],
    virtualFunctions,
  }))
  using host = createHost({ plugins: [edu({ at: '00:01.0' }), one, firmware()] })
  at(host, '00:05.0').sriov?.enable(2)
  expect([at(host, '00:15.0').barAddress(0), at(host, '00:15.1').barAddress(0)]).toEqual([0xc010_0000, 0xc010_4000])
})

test('says which BAR finds no room', () => {
  const plugins = [edu({ at: '00:01.0' }), firmware({ memory: { first: 0xc000_0000, last: 0xc007_ffff } })]
  expect(() => createHost({ plugins })).toThrow(
    '0000:00:01.0: BAR 0 of 0x100000 bytes: no memory address is left below 0xc0080000',
  )
})
