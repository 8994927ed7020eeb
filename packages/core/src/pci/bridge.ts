/** Bridges: what kind they are, which buses lie behind them, which addresses they pass on. */
import { portType, word, dword } from './capability-chain.ts'
import type { BridgeInfo, PciFunction } from './function.ts'
import { BRIDGE, CAP, COMMAND, EXPRESS, HEADER, PORT } from './header.ts'
import { isBridge } from './write-masks.ts'

const KINDS: ReadonlyMap<number, BridgeInfo['kind']> = new Map<number, BridgeInfo['kind']>([
  [PORT.ROOT_PORT, 'rootPort'],
  [PORT.UPSTREAM, 'upstream'],
  [PORT.DOWNSTREAM, 'downstream'],
  [PORT.PCIE_TO_PCI, 'pcieToPci'],
  [PORT.PCI_TO_PCIE, 'pciToPcie'],
])

/** @returns undefined when the header is not a bridge's; a bridge without PCI Express capability is `pciToPci` */
export function bridgeInfo(config: Uint8Array): BridgeInfo | undefined {
  if (!isBridge(config)) return undefined
  const type = portType(config)
  return Object.freeze({
    kind: (type === undefined ? undefined : KINDS.get(type)) ?? 'pciToPci',
    secondary: config[BRIDGE.SECONDARY_BUS] as number,
    subordinate: config[BRIDGE.SUBORDINATE_BUS] as number,
  })
}

/** Whether a bridge forwards function numbers beyond 7 (Device Control 2, ARI Forwarding Enable). */
export function forwardsAri(bridge: PciFunction): boolean {
  const at = bridge.capability(CAP.EXPRESS)
  return at !== 0 && (word(bridge.config, at + EXPRESS.DEVCTL2) & EXPRESS.DEVCTL2_ARI) !== 0
}

/**
 * Whether a bridge passes memory accesses to [first, last] downstream: COMMAND.Memory is on, and the range lies in its memory
 * or prefetchable window. A bridge whose windows were never programmed passes everything: hosts composed by hand need not
 * play firmware.
 */
export function forwardsMemory(config: Uint8Array, first: number, last: number): boolean {
  if (!(word(config, HEADER.COMMAND) & COMMAND.MEMORY)) return false
  const memory = dword(config, BRIDGE.MEMORY_BASE)
  const prefetchable = dword(config, BRIDGE.PREF_BASE)
  if (memory === 0 && (prefetchable & 0xfff0_fff0) === 0) return true
  return inWindow(memory, 0, 0, first, last) || inPrefetchable(config, prefetchable, first, last)
}

function inPrefetchable(config: Uint8Array, window: number, first: number, last: number): boolean {
  const wide = (window & 0xf) === 1
  const baseUpper = wide ? dword(config, BRIDGE.PREF_BASE_UPPER) : 0
  const limitUpper = wide ? dword(config, BRIDGE.PREF_LIMIT_UPPER) : 0
  return inWindow(window, baseUpper, limitUpper, first, last)
}

/** @param window base in bits 15:4, limit in bits 31:20, both bits 31:20 of an address */
function inWindow(window: number, baseUpper: number, limitUpper: number, first: number, last: number): boolean {
  const base = baseUpper * 2 ** 32 + (((window & 0xfff0) << 16) >>> 0)
  const limit = limitUpper * 2 ** 32 + ((window & 0xfff0_0000) >>> 0) + 0xf_ffff
  return base <= first && last <= limit
}
