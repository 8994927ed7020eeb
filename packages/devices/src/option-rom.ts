/**
 * The smallest valid image of an expansion ROM, around known first bytes. PCI Firmware Specification r3.3 "5.1 PCI Expansion
 * ROM Contents": header, and a data structure that names the function.
 */
import { CompositionError, hex } from '@ioasis/core'

/** What an image says. */
export interface OptionRomSpec {
  readonly vendor: number
  readonly device: number
  /** Base class, subclass, programming interface: 24 bits. */
  readonly classCode: number
  /** Known first bytes, at most 24: signature 55 aa, length in units of 512 bytes, entry point. Absent: one unit, no entry. */
  readonly head?: readonly number[]
}

const UNIT = 512
const LENGTH = 2
const POINTER = 0x18
/** Where the data structure stands: behind the header, on a multiple of 4. */
const DATA = 0x1c
const DATA_BYTES = 0x18
const LAST_IMAGE = 0x80

/**
 * One image, the only one of its ROM. Its code is zeros.
 * @throws CompositionError for a head that has no signature, is too long, or gives no length
 */
export function optionRom({ vendor, device, classCode, head = [0x55, 0xaa, 1] }: OptionRomSpec): Uint8Array {
  const units = head[LENGTH] ?? 0
  if (head.length > POINTER || head[0] !== 0x55 || head[1] !== 0xaa || units === 0) {
    const shown = head.map((byte) => hex(byte)).join(' ')
    throw new CompositionError(
      `option ROM head ${shown}: 3 to 24 bytes are needed, 55 aa and a length of 1 to 255 first`,
    )
  }
  const image = new Uint8Array(units * UNIT)
  image.set(head)
  const view = new DataView(image.buffer)
  view.setUint16(POINTER, DATA, true)
  image.set([0x50, 0x43, 0x49, 0x52], DATA)
  view.setUint16(DATA + 0x04, vendor, true)
  view.setUint16(DATA + 0x06, device, true)
  view.setUint16(DATA + 0x0a, DATA_BYTES, true)
  view.setUint16(DATA + 0x0d, classCode & 0xffff, true)
  image[DATA + 0x0f] = classCode >>> 16
  view.setUint16(DATA + 0x10, units, true)
  image[DATA + 0x15] = LAST_IMAGE
  return image
}
