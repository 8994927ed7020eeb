/** Which bits of a configuration space software can write, and which it clears by writing 1, as usual hardware has them. */
import { maskCapabilities, type WriteMasks } from './capability-masks.ts'
import { findCapability, portType, setDword, setWord } from './capability-chain.ts'
import type { Bar } from './function.ts'
import { BRIDGE, CAP, COMMAND, HEADER, HEADER_TYPE, STATUS } from './header.ts'

const COMMAND_BITS = COMMAND.IO | COMMAND.MEMORY | COMMAND.MASTER | COMMAND.PARITY | COMMAND.SERR | COMMAND.INTX_DISABLE
const ROM_ADDRESS = 0xffff_f800
const HEADER_BYTES = 0x40

/**
 * The masks of ordinary hardware with this configuration space.
 * @param config 256 or 4096 bytes
 * @param bars sizes decide which address bits can be written, so that writing all ones reads back the size
 */
export function writeMasks(config: Uint8Array, bars: readonly Bar[]): WriteMasks {
  const masks = { writable: new Uint8Array(config.length), clearedByOne: new Uint8Array(config.length) }
  const { writable, clearedByOne } = masks
  const conventional = !findCapability(config, CAP.EXPRESS)
  setWord(writable, HEADER.COMMAND, COMMAND_BITS)
  setWord(clearedByOne, HEADER.STATUS, STATUS.ERRORS)
  writable[HEADER.CACHE_LINE_SIZE] = 0xff
  if (conventional) writable[HEADER.LATENCY_TIMER] = 0xff
  writable[HEADER.INTERRUPT_LINE] = 0xff
  if (isBridge(config)) maskBridge(config, masks)
  maskCapabilities(config, masks)
  maskBars(writable, bars, isBridge(config))
  return masks
}

/** Whether the header is of type 1. */
export const isBridge = (config: Uint8Array): boolean =>
  ((config[HEADER.HEADER_TYPE] as number) & HEADER_TYPE.MASK) === HEADER_TYPE.BRIDGE

/** Offset of a BAR's register. @param index 0 to 5, 6: the ROM */
export const barOffset = (index: number, bridge: boolean): number =>
  index < 6 ? HEADER.BAR0 + 4 * index : bridge ? BRIDGE.ROM : HEADER.ROM

/** Sets the address bits of each BAR in `writable` and clears the others of its registers. */
export function maskBars(writable: Uint8Array, bars: readonly Bar[], bridge: boolean): void {
  for (const { index, size, space, wide } of bars) {
    const at = barOffset(index, bridge)
    const low = (size >= 2 ** 32 ? 0 : -size) >>> 0
    if (space === 'rom') setDword(writable, at, ((low & ROM_ADDRESS) | 1) >>> 0)
    else setDword(writable, at, (low & (space === 'io' ? ~0x3 : ~0xf)) >>> 0)
    if (wide) setDword(writable, at + 4, size <= 2 ** 32 ? 0xffff_ffff : (2 ** 32 - size / 2 ** 32) >>> 0)
  }
}

/** Of a virtual function's header software writes Bus Master Enable alone: the rest is the physical function's, or zero. */
export function maskVirtualHeader(writable: Uint8Array): void {
  writable.fill(0, 0, HEADER_BYTES)
  setWord(writable, HEADER.COMMAND, COMMAND.MASTER)
}

/** Sets the address bits of VF BARs in `writable`. @param at offset of VF BAR 0 */
export function maskVirtualBars(writable: Uint8Array, at: number, bars: readonly Omit<Bar, 'window'>[]): void {
  for (const { index, size, wide } of bars) {
    setDword(writable, at + 4 * index, ((size >= 2 ** 32 ? 0 : -size) & ~0xf) >>> 0)
    if (wide) setDword(writable, at + 4 * index + 4, size <= 2 ** 32 ? 0xffff_ffff : (2 ** 32 - size / 2 ** 32) >>> 0)
  }
}

/** PCI-to-PCI Bridge Architecture Specification r1.2 "3.2 PCI-to-PCI Bridge Configuration Registers". */
function maskBridge(config: Uint8Array, { writable, clearedByOne }: WriteMasks): void {
  const conventionalBelow = portType(config) === undefined
  writable.fill(0xff, BRIDGE.PRIMARY_BUS, BRIDGE.SEC_LATENCY_TIMER)
  if (conventionalBelow) writable[BRIDGE.SEC_LATENCY_TIMER] = 0xff
  writable[BRIDGE.IO_BASE] = writable[BRIDGE.IO_LIMIT] = 0xf0
  if ((config[BRIDGE.IO_BASE] as number) & 1) setDword(writable, BRIDGE.IO_UPPER, 0xffff_ffff)
  setWord(clearedByOne, BRIDGE.SEC_STATUS, STATUS.ERRORS)
  setDword(writable, BRIDGE.MEMORY_BASE, 0xfff0_fff0)
  setDword(writable, BRIDGE.PREF_BASE, 0xfff0_fff0)
  if ((config[BRIDGE.PREF_BASE] as number) & 1) writable.fill(0xff, BRIDGE.PREF_BASE_UPPER, BRIDGE.IO_UPPER)
  setWord(writable, BRIDGE.CONTROL, conventionalBelow ? 0x0bff : 0x007f)
  if (conventionalBelow) setWord(clearedByOne, BRIDGE.CONTROL, 0x0400)
}
