/** A host with AMD-Vi units and a function at 00:05.0 that has ATS, page requests and PASIDs, beside a plain one at 00:06.0. */
import {
  bdf,
  CAP,
  createHost,
  EXT_CAP,
  type FunctionModel,
  HEADER,
  type Host,
  IommuGroups,
  IommuUnit,
  Pci,
  type PciFunction,
  PORT,
  STATUS,
} from '@ioasis/core'
import type { AmdDevice } from './driver/device.ts'
import type { AmdUnit } from './hw/unit.ts'
import { amdIommu, type AmdOptions } from './index.ts'

const model = (config: Uint8Array): FunctionModel => ({ name: 'dma master', config, bars: [] })

function plain(bytes = 256): Uint8Array {
  const config = new Uint8Array(bytes)
  const view = new DataView(config.buffer)
  view.setUint32(0, 0x0001_1af4, true)
  view.setUint16(HEADER.COMMAND, 4, true)
  view.setUint32(8, 0xff00_0000, true)
  return config
}
/** PCI Express endpoint: ATS with a queue of 8, page requests that need a PASID in the answer, 16-bit PASIDs. */
function able(): Uint8Array {
  const config = plain(4096)
  const view = new DataView(config.buffer)
  view.setUint16(HEADER.STATUS, STATUS.CAP_LIST, true)
  config[HEADER.CAPABILITY_LIST] = 0x40
  config.set([CAP.EXPRESS, 0, (PORT.ENDPOINT << 4) | 2], 0x40)
  const header = (at: number, id: number, next: number): void => view.setUint32(at, id | 0x1_0000 | (next << 20), true)
  header(0x100, EXT_CAP.ATS, 0x110)
  view.setUint16(0x104, 8, true)
  header(0x110, EXT_CAP.PRI, 0x120)
  view.setUint16(0x116, 0x8100, true)
  view.setUint32(0x118, 512, true)
  header(0x120, EXT_CAP.PASID, 0)
  view.setUint16(0x124, (16 << 8) | 6, true)
  return config
}

/** The machine and its parts. */
export interface AmdMachine extends Disposable {
  readonly host: Host
  readonly unit: AmdUnit
  readonly able: { readonly fn: PciFunction; readonly device: AmdDevice }
  readonly plain: { readonly fn: PciFunction; readonly device: AmdDevice }
}

/** @param options of the plug-in */
export function amdMachine(options: AmdOptions = {}): AmdMachine {
  const functions = {
    name: 'functions',
    contract: 1 as const,
    needs: [Pci],
    setup: (host: { get: Host['get'] }) => {
      host.get(Pci).place(model(able()), { bdf: bdf(0, 5, 0) })
      host.get(Pci).place(model(plain()), { bdf: bdf(0, 6, 0) })
    },
  }
  const host = createHost({ plugins: [amdIommu(options), functions], machine: { ram: 256 << 20 } })
  const at = (slot: number) => {
    const fn = host.get(Pci).at(0, bdf(0, slot, 0)) as PciFunction
    return { fn, device: host.get(IommuGroups).deviceOf(fn) as AmdDevice }
  }
  const [unit] = host.all(IommuUnit)
  return { host, unit: unit as AmdUnit, able: at(5), plain: at(6), [Symbol.dispose]: () => host.close() }
}
