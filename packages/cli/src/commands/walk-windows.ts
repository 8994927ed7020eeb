/** `ioasis walk --map` where a function has windows of TCEs in place of page tables (POWER). */
import {
  type DmaWindow,
  type Group,
  hex,
  type Host,
  Pages,
  TCE_ACCESS,
  UapiError,
  type WindowShape,
} from '@ioasis/core'
import { InputError, parseSize } from '../input.ts'

/** A window to be made: the shape of its table. */
export type WindowWanted = WindowShape

/** `16:1G:2`. @throws InputError naming the rule */
export function parseWindow(text: string): WindowWanted {
  const [shift = '', bytes = '', levels = '1', ...rest] = text.split(':')
  if (!/^\d{1,2}$/.test(shift) || !/^\d$/.test(levels) || rest.length > 0)
    throw new InputError(`--window: "${text}" is not SHIFT:BYTES:LEVELS such as 16:1G:2`)
  return { pageShift: Number(shift), bytes: parseSize(bytes, '--window'), levels: Number(levels) }
}

/**
 * Takes the group from its driver, makes a window and puts fresh memory into it: the preset window unless another is asked for.
 * @throws InputError for what the platform refuses or does not hold
 */
export function mapInWindow(
  host: Host,
  group: Group,
  how: { readonly map: readonly string[]; readonly readOnly: boolean; readonly window?: WindowWanted },
): void {
  const windows = group.devices[0]?.windows
  if (!windows) throw new InputError(`group ${group.id} has no windows`)
  group.claim({ user: 'ioasis walk' }, false)
  const preset = { pageShift: 12, bytes: windows.limits.dma32.bytes, levels: 1 }
  const made = [preset, ...(how.window ? [how.window] : [])].map((shape, slot) => {
    try {
      const window = windows.create(slot, shape)
      windows.set(slot, window)
      return window
    } catch (error) {
      if (!(error instanceof UapiError)) throw error
      throw new InputError(`--window: the platform has no such window: ${error.errno}`)
    }
  })
  for (const text of how.map) mapOne(host, made, text, how.readOnly)
}

function mapOne(host: Host, windows: readonly DmaWindow[], text: string, readOnly: boolean): void {
  const [at, size] = text.split(':')
  if (!at || !size) throw new InputError(`--map: "${text}" is not IOVA:BYTES such as 0x10000:8K`)
  const first = parseSize(at, '--map')
  const bytes = parseSize(size, '--map')
  const window = windows.find((one) => one.first <= first && first + bytes <= one.first + one.bytes)
  if (!window) throw new InputError(`--map: no window holds ${hex(first)} and ${hex(bytes)} bytes from there`)
  const page = 2 ** window.pageShift
  if ((first | bytes) & BigInt(page - 1) || bytes === 0n)
    throw new InputError(`--map: "${text}" is not whole pages of ${page} bytes, as the window has them`)
  const index = Number((first - window.first) >> BigInt(window.pageShift))
  const count = Number(bytes) / page
  for (let i = 0; i < count; i++)
    window.exchange(index + i, memory(host, page, text), readOnly ? TCE_ACCESS.READ : TCE_ACCESS.BOTH)
  window.kill(index, count)
}

function memory(host: Host, bytes: number, text: string): number {
  try {
    return host.get(Pages).alloc(bytes, 'ioasis walk')
  } catch (error) {
    if (!(error instanceof UapiError)) throw error
    throw new InputError(`--map: "${text}": the machine has no free memory of that size in one piece`)
  }
}
