/**
 * How a PC's firmware and a Linux console leave a VGA: 80 by 25 characters in 16 colours. Register values: the VGA BIOS mode 3
 * (IBM VGA Technical Reference, "BIOS mode 3+"), as SeaBIOS 1.17 vgasrc/stdvgamodes.c sets it; then drivers/video/console/vgacon.c
 * vgacon_startup makes the palette plain and vgacon_deinit shows the first page.
 */

/** Where every register stands, indices and flip-flop included. */
export interface VgaState {
  readonly miscellaneous: number
  readonly sequencer: readonly number[]
  readonly graphics: readonly number[]
  readonly crtc: readonly number[]
  readonly attributes: readonly number[]
  /** 6 bits for red, green and blue of each colour. */
  readonly palette: readonly (readonly [red: number, green: number, blue: number])[]
  readonly sequencerIndex: number
  readonly graphicsIndex: number
  readonly crtcIndex: number
  readonly attributeIndex: number
  /** The next write to the attribute port is data. */
  readonly attributeData: boolean
  readonly paletteWriteIndex: number
}

/** Each colour component has two bits in a colour number: 2 thirds and 1 third of full. */
const SHADES = [0x00, 0x15, 0x2a, 0x3f] as const
const shade = (colour: number, strong: number, weak: number): number =>
  SHADES[(colour & strong ? 2 : 0) | (colour & weak ? 1 : 0)] as number
/** The 64 colours of an EGA: rgbRGB. */
const EGA = Array.from(
  { length: 64 },
  (_, c) => [shade(c, 0x04, 0x20), shade(c, 0x02, 0x10), shade(c, 0x01, 0x08)] as const,
)
/** The 16 of a console: bright ones have bit 3; dark yellow is brown. */
const CONSOLE = Array.from({ length: 16 }, (_, c) => {
  const [red, green, blue] = EGA[(c & 7) | (c & 8 ? 0x38 : 0)] as readonly [number, number, number]
  return [red, c === 6 ? 0x15 : green, blue] as const
})

/** The state of a display that a console used and gave up. */
export const TEXT_MODE: VgaState = {
  miscellaneous: 0x67,
  sequencer: [0x03, 0x00, 0x03, 0x00, 0x02],
  graphics: [0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x0f, 0xff],
  crtc: [
    0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f,
    0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
  ],
  attributes: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x0c, 0x00, 0x0f, 0x08],
  palette: [...CONSOLE, ...EGA.slice(16)],
  sequencerIndex: 0,
  graphicsIndex: 5,
  crtcIndex: 0x0d,
  attributeIndex: 0x20,
  attributeData: true,
  paletteWriteIndex: 16,
}
