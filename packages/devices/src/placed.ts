/** Turns a device model into a plug-in that puts one function on a bus. */
import {
  CompositionError,
  type FunctionModel,
  parseBdf,
  Pci,
  type PciFunction,
  type Plugin,
  type PluginHost,
  type Token,
} from '@ioasis/core'

/** Where a function goes and what firmware left in it. */
export interface PlaceAt {
  /** `00:01.0`, or with a segment `0001:00:01.0`. Behind a bridge: a bus number the bridge forwards. */
  readonly at: string
  /** Addresses of BARs by index, as firmware assigns them; those left out stay unassigned. */
  readonly addresses?: Readonly<Record<number, number>>
  /** COMMAND as firmware left it. Default: memory decoding if an address was given, else 0. */
  readonly command?: number
}

const COMMAND = 0x04
const MEMORY_DECODING = 2

/**
 * A plug-in that places one function.
 * @param name of the model; with the place it names the plug-in
 * @param needs what `make` asks of the host
 */
export const placed = (
  name: string,
  options: PlaceAt,
  needs: readonly Token<unknown>[],
  make: (host: PluginHost) => FunctionModel,
): Plugin => ({
  name: `${name} ${options.at}`,
  contract: 1,
  needs: [Pci, ...needs],
  setup: (host) => {
    const where = parseBdf(options.at)
    if (!where) throw new CompositionError(`${name}: "${options.at}" is not a place such as 00:01.0`)
    initialise(host.get(Pci).place(make(host), where), options)
  },
})

/** Writes what firmware leaves in a function's BARs and COMMAND. */
function initialise(fn: PciFunction, { addresses = {}, command }: PlaceAt): void {
  for (const bar of fn.bars) {
    const address = addresses[bar.index]
    if (address === undefined) continue
    const at = bar.index === 6 ? (fn.bridge ? 0x38 : 0x30) : 0x10 + 4 * bar.index
    if (address % bar.size !== 0) {
      throw new CompositionError(`${fn.name}: BAR ${bar.index} at 0x${address.toString(16)} is not aligned to its size`)
    }
    fn.writeConfig(at, 4, address >>> 0)
    if (bar.wide) fn.writeConfig(at + 4, 4, Math.floor(address / 0x1_0000_0000))
  }
  const decode = Object.keys(addresses).length > 0 ? MEMORY_DECODING : 0
  fn.writeConfig(COMMAND, 2, command ?? decode)
}
