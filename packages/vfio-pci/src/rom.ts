/** How long a ROM really is, by the images in it. drivers/pci/rom.c pci_get_rom_size. */
import type { Registers } from './io-access.ts'

const IMAGE_SIGNATURE = 0xaa55
const POINTER = 0x18
/** "PCIR". */
const DATA_SIGNATURE = 0x52494350
const IMAGE_LENGTH = 0x10
const INDICATOR = 0x15
const LAST = 0x80
const SECTOR = 512

/** @param size of the ROM's BAR @returns 0: there is no valid image */
export function romBytes(rom: Registers, size: number): number {
  let image = 0
  for (;;) {
    if (!isImage(rom, image, size)) break
    const data = image + word(rom, image + POINTER)
    if (data + INDICATOR >= size || (data & 3) !== 0 || Number(rom.load(data, 4)) !== DATA_SIGNATURE) break
    const last = (Number(rom.load(data + INDICATOR, 1)) & LAST) !== 0
    const length = word(rom, data + IMAGE_LENGTH)
    image += length * SECTOR
    if (last || length === 0 || !isImage(rom, image, size)) break
  }
  return Math.min(image, size)
}

const word = (rom: Registers, at: number): number => Number(rom.load(at, 2))
const isImage = (rom: Registers, at: number, size: number): boolean =>
  at + POINTER + 2 <= size && word(rom, at) === IMAGE_SIGNATURE
