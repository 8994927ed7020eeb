/**
 * The header: BARs are the user's own, COMMAND is shared with the hardware. drivers/vfio/pci/vfio_pci_config.c
 * vfio_basic_config_read, vfio_basic_config_write, vfio_bar_fixup, vfio_bar_restore.
 */
import { changeCommand, COMMAND, HEADER, STATUS } from '@ioasis/core'
import type { Resource, Target } from './owner.ts'
import { type Access, ALL, NONE, permission, readBits, writeBits } from './permission.ts'
import { dword, setDword, setWord, word } from './words.ts'

const BIST = 0x0f
const LAST_BAR_BYTE = 0x27
const ROM_ENABLE = 0x1
const WIDE = 0x4

const BITS = permission(0x40, [
  [HEADER.VENDOR_ID, 4, ALL, NONE],
  [HEADER.COMMAND, 2, COMMAND.INTX_DISABLE, 0xffff],
  [HEADER.STATUS, 2, STATUS.CAP_LIST, NONE],
  [HEADER.CACHE_LINE_SIZE, 1, NONE, 0xff],
  [HEADER.LATENCY_TIMER, 1, NONE, 0xff],
  [BIST, 1, NONE, 0xff],
  [HEADER.BAR0, 4, ALL, ALL],
  [HEADER.BAR0 + 4, 4, ALL, ALL],
  [HEADER.BAR0 + 8, 4, ALL, ALL],
  [HEADER.BAR0 + 12, 4, ALL, ALL],
  [HEADER.BAR0 + 16, 4, ALL, ALL],
  [HEADER.BAR0 + 20, 4, ALL, ALL],
  [HEADER.ROM, 4, ALL, ALL],
  [HEADER.CAPABILITY_LIST, 1, 0xff, NONE],
  [HEADER.INTERRUPT_LINE, 1, 0xff, 0xff],
  [HEADER.INTERRUPT_PIN, 1, 0xff, NONE],
])

const isBar = (pos: number): boolean =>
  (pos >= HEADER.BAR0 && pos <= LAST_BAR_BYTE) || (pos >= HEADER.ROM && pos < HEADER.ROM + 4)

/** The rules of the header. */
export const basic: Required<Access<Target>> = {
  read(target, chunk) {
    if (isBar(chunk.pos)) shapeBars(target)
    const value = readBits(BITS, target, chunk)
    // A virtual function has no Memory Enable of its own: the user sees the one he wrote.
    if (chunk.pos !== HEADER.COMMAND || !target.fn.virtfn) return value
    return (value | (word(target.virtual, HEADER.COMMAND) & COMMAND.MEMORY)) >>> 0
  },
  write(target, chunk, value) {
    const { pos } = chunk
    if (pos === HEADER.COMMAND) writeCommand(target, value, () => writeBits(BITS, target, chunk, value))
    else writeBits(BITS, target, chunk, value)
    if (pos === HEADER.COMMAND || pos === HEADER.COMMAND + 1)
      target.owner.hideIntx((word(target.virtual, HEADER.COMMAND) & COMMAND.INTX_DISABLE) !== 0)
    if (isBar(pos)) target.barsDirty = true
  },
}

/** What a user wrote to BARs reads back as from hardware: address bits below the size are zero, type bits are there. */
function shapeBars(target: Target): void {
  if (!target.barsDirty) return
  const { virtual, owner } = target
  for (let index = 0; index < 6; index++) {
    const at = HEADER.BAR0 + 4 * index
    const bar = owner.resources.find((resource) => resource.index === index)
    if (!bar || bar.start === 0) {
      setDword(virtual, at, 0)
      continue
    }
    setDword(virtual, at, ((dword(virtual, at) & addressBits(bar)) | bar.flags) >>> 0)
    if (!(dword(virtual, at) & WIDE)) continue
    index++
    const high = bar.size > 2 ** 32 ? -(bar.size / 2 ** 32) >>> 0 : ALL
    setDword(virtual, at + 4, (dword(virtual, at + 4) & high) >>> 0)
  }
  const rom = owner.resources.find((resource) => resource.index === 6)
  const bits = rom && rom.start !== 0 ? addressBits(rom) | ROM_ENABLE : 0
  setDword(virtual, HEADER.ROM, (dword(virtual, HEADER.ROM) & bits) >>> 0)
  target.barsDirty = false
}
const addressBits = ({ size }: Resource): number => (size >= 2 ** 32 ? 0 : -size)

function writeCommand(target: Target, value: number, write: () => void): void {
  const { fn, owner, virtual } = target
  const before = word(virtual, HEADER.COMMAND)
  const physical = fn.readConfig(HEADER.COMMAND, 2)
  const change = (): void => {
    // Enabled before, enabled again, yet the hardware says no: it was reset behind our back, and its BARs are gone.
    const decoding = fn.virtfn ? COMMAND.IO : COMMAND.MEMORY | COMMAND.IO
    const lost = value & before & ~physical & decoding
    if (lost || barsMoved(target)) restoreBars(target)
    write()
    const enables = COMMAND.MEMORY | COMMAND.IO
    setWord(virtual, HEADER.COMMAND, (word(virtual, HEADER.COMMAND) & ~enables) | (value & enables))
  }
  if (value & COMMAND.MEMORY) change()
  else owner.memoryOff(change)
  owner.memoryOn()
}

function barsMoved({ fn, realBars }: Target): boolean {
  return realBars.some(({ at, value }) => at !== HEADER.ROM && value !== 0 && fn.readConfig(at, 4) !== value)
}
/** Puts the host's addresses back into the hardware, and keeps the line down. */
function restoreBars({ fn, realBars, lineOff }: Target): void {
  if (fn.virtfn) return
  for (const { at, value } of realBars) fn.writeConfig(at, 4, value)
  if (lineOff) changeCommand(fn, { set: COMMAND.INTX_DISABLE })
}
