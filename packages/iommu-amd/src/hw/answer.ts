/** How a translated request is answered: as it came, from a leaf that is not kept, from an IOTLB entry. */
import { DMA, type DmaRequest, type Status, TARGET } from '@ioasis/core'
import { LEAF } from './host-walk.ts'
import type { IotlbTable } from './iotlb.ts'

/** The address stays as it is. The interrupt range is a target of its own, so nothing crosses its ends. @param inside bytes less one of the block that holds */
export function identity(request: DmaRequest, inside = 0xf_ffff): Status {
  const { out, iovaHi, iovaLo, length } = request
  out.target = iovaHi === 0 && iovaLo >>> 20 === 0xfee ? TARGET.INTERRUPT : TARGET.MEMORY
  out.hpaHi = iovaHi
  out.hpaLo = iovaLo
  out.bytes = Math.min(length, inside + 1 - (iovaLo & inside))
  out.snooped = !request.noSnoop
  return DMA.OK
}

/** One page of a leaf that is not kept. */
export function answerPart(
  request: DmaRequest,
  walk: { frameHi: number; frameLo: number; flags: number; shift: number },
): Status {
  const { out, iovaHi, iovaLo, length } = request
  const { shift } = walk
  out.target = TARGET.MEMORY
  out.hpaLo = walk.frameLo | (iovaLo & (shift >= 32 ? -1 : (1 << shift) - 1))
  out.hpaHi = walk.frameHi | (shift > 32 ? iovaHi & ((1 << (shift - 32)) - 1) : 0)
  out.bytes = Math.min(length, 0x1000 - (iovaLo & 0xfff))
  out.snooped = !request.noSnoop || (walk.flags & LEAF.SNOOP) !== 0
  return DMA.OK
}

/** Answers from an IOTLB entry of any size. Literals as in `translate`. */
export function answer(request: DmaRequest, table: IotlbTable, at: number): Status {
  const { out, iovaLo, length } = request
  const { words, insideLo } = table
  const leaf = words[at + 3] as number
  const offset = iovaLo & insideLo
  out.target = 1 // TARGET.MEMORY
  out.hpaLo = (leaf & ~0xfff) | offset
  out.hpaHi = (words[at + 4] as number) | (request.iovaHi & table.insideHi)
  // Leaves of 2 GiB and more are answered in pieces, so that counts stay small integers.
  const left = (insideLo & 0x3fff_ffff) + 1 - (offset & 0x3fff_ffff)
  out.bytes = length < left ? length : left
  out.snooped = !request.noSnoop || (leaf & 4) !== 0 // LEAF.SNOOP
  return 0 // DMA.OK
}
