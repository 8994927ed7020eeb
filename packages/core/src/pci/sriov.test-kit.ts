/** A physical function with virtual ones behind a port, for tests. */
import { setDword, setWord } from './capability-chain.ts'
import type { Bar, FunctionModel, PciFunction } from './function.ts'
import { model, type TestBus } from './pci-models.test-kit.ts'

/** Offset of the SR-IOV capability. */
export const SRIOV_AT = 0x100
const BAR: Omit<Bar, 'window'> = { index: 0, size: 0x4000, space: 'memory', wide: true, prefetchable: true }
/** Where all BARs 0 lie. */
export const VF_BAR0 = 0xe000_0000

/** How it differs from eight virtual functions that stand from 01:10.0 on. */
export interface PhysicalOptions {
  readonly total?: number
  readonly initial?: number
  readonly offset?: number
  readonly base?: number
  readonly link?: number
  /** Without a model of virtual functions nothing answers where they should. */
  readonly silent?: boolean
}

/** Places a port at 00:03.0 and the function at 01:00.0. */
export function physical(
  bus: TestBus,
  { total = 8, initial = total, offset = 0x80, base = VF_BAR0, link = 0, silent }: PhysicalOptions = {},
): PciFunction {
  bus.put(0, 3, 0, { bridge: [1, 1], port: 4, command: 6 })
  const made = model({ port: 0, deviceCapabilities: 0x1000_0000 })
  const { config } = made
  setDword(config, SRIOV_AT, 0x0001_0010)
  setWord(config, SRIOV_AT + 0x0c, initial)
  setWord(config, SRIOV_AT + 0x0e, total)
  setWord(config, SRIOV_AT + 0x12, link)
  setWord(config, SRIOV_AT + 0x14, offset)
  setWord(config, SRIOV_AT + 0x16, 2)
  setWord(config, SRIOV_AT + 0x1a, 0x10ca)
  setDword(config, SRIOV_AT + 0x1c, 0x553)
  setDword(config, SRIOV_AT + 0x24, base)
  return bus.pci.place(
    { ...made, ...(silent === true ? {} : { virtualFunctions: { bars: [BAR], make: virtual } }) },
    { bdf: 0x100 },
  )
}

/** One whose BAR reads its own number. */
function virtual(index: number): FunctionModel {
  const made = model({ port: 0 })
  made.config.fill(0xff, 0, 4)
  const window = { load: () => BigInt(0x1000 + index), store: () => undefined }
  return { ...made, name: `vf${index}`, bars: [{ ...BAR, window }] }
}
