/** Bridges by kind: configuration spaces with bus numbers, and ACS where the port has it. A bridge has no registers of its own. */
import { CompositionError, type FunctionModel, type Plugin, REQUIRED_ACS } from '@ioasis/core'
import { acs as acsCapability, advancedErrors, express, msi, powerManagement } from './capabilities.ts'
import { buildConfig } from './config-builder.ts'
import { type PlaceAt, placed } from './placed.ts'

/** Bus numbers and abilities of a bridge. */
export interface BridgeOptions {
  /** The bus right behind it, 1 to 255. */
  readonly secondary: number
  /** The last bus behind it; default: `secondary`. */
  readonly subordinate?: number
  /** The bus it stands on; default: taken from the place. */
  readonly primary?: number
  readonly multifunction?: boolean
}
/** A port of a root complex or switch. */
export interface PortOptions extends BridgeOptions {
  /**
   * Access Control Services: capability bits (see core's `ACS`), `false` for none. Default: what Linux needs to keep what lies
   * behind apart. An IOMMU driver turns them on while it boots.
   */
  readonly acs?: number | false
}

/** A bridge model. */
export class Bridge implements FunctionModel {
  readonly name: string
  readonly config: Uint8Array
  readonly bars: readonly never[] = []

  /** @param config a type 1 configuration space */
  constructor(name: string, config: Uint8Array) {
    this.name = name
    this.config = config
  }
}

type Kind = 'rootPort' | 'upstream' | 'downstream' | 'pcieToPci'
const PORTS: Readonly<Record<Kind, { readonly name: string; readonly vendor: number; readonly device: number }>> = {
  rootPort: { name: 'root-port', vendor: 0x1b36, device: 0x000c },
  upstream: { name: 'upstream-port', vendor: 0x104c, device: 0x8232 },
  downstream: { name: 'downstream-port', vendor: 0x104c, device: 0x8233 },
  pcieToPci: { name: 'pcie-to-pci-bridge', vendor: 0x1b36, device: 0x000e },
}

const busNumbers = ({ primary = 0, secondary, subordinate = secondary }: BridgeOptions, what: string) => {
  if (!(secondary > primary && subordinate >= secondary && subordinate <= 255)) {
    throw new CompositionError(
      `${what}: buses ${primary}, ${secondary}-${subordinate}; primary < secondary <= subordinate <= 255 is needed`,
    )
  }
  return { primary, secondary, subordinate }
}

function expressBridge(kind: Kind, options: PortOptions): Bridge {
  const { name, vendor, device } = PORTS[kind]
  const bits = options.acs ?? (kind === 'rootPort' || kind === 'downstream' ? REQUIRED_ACS : false)
  const config = buildConfig({
    vendor,
    device,
    classCode: 0x060400,
    multifunction: options.multifunction ?? false,
    interruptPin: 1,
    bridge: busNumbers(options, name),
    capabilities: [
      powerManagement(),
      msi(),
      express({ type: kind, slot: kind === 'rootPort' || kind === 'downstream' }),
      advancedErrors(),
      ...(bits === false ? [] : [acsCapability(bits)]),
    ],
  })
  return new Bridge(name, config)
}

/** A root port (1b36:000c). */
export const rootPortModel = (options: PortOptions): Bridge => expressBridge('rootPort', options)
/** The upstream port of a switch (104c:8232). */
export const upstreamPortModel = (options: BridgeOptions): Bridge => expressBridge('upstream', options)
/** A downstream port of a switch (104c:8233). */
export const downstreamPortModel = (options: PortOptions): Bridge => expressBridge('downstream', options)
/** A PCIe-to-PCI bridge (1b36:000e): what lies behind shares the id of its secondary bus, device 0. */
export const pcieToPciBridgeModel = (options: BridgeOptions): Bridge => expressBridge('pcieToPci', options)
/** A conventional PCI-to-PCI bridge (1b36:0001): requests from behind carry its own id. */
export function pciToPciBridgeModel(options: BridgeOptions): Bridge {
  const config = buildConfig({
    vendor: 0x1b36,
    device: 0x0001,
    classCode: 0x060400,
    multifunction: options.multifunction ?? false,
    interruptPin: 1,
    bridge: busNumbers(options, 'pci-to-pci-bridge'),
    capabilities: [msi()],
  })
  return new Bridge('pci-to-pci-bridge', config)
}

const bridge =
  <O extends BridgeOptions>(name: string, make: (options: O) => Bridge) =>
  (options: PlaceAt & O): Plugin =>
    placed(name, options, [], () => make({ ...options, primary: options.primary ?? primaryOf(options.at) }))

/** The bus number in `01:00.0` or `0000:01:00.0`; a place that is none is refused by `placed`. */
const primaryOf = (at: string): number => parseInt(/(?:^|:)([0-9a-f]{2}):[0-9a-f]{2}\.[0-7]$/i.exec(at)?.[1] ?? '0', 16)

/** Places a root port. */
export const rootPort: (options: PlaceAt & PortOptions) => Plugin = bridge<PortOptions>('root-port', rootPortModel)
/** Places the upstream port of a switch. */
export const upstreamPort: (options: PlaceAt & BridgeOptions) => Plugin = bridge('upstream-port', upstreamPortModel)
/** Places a downstream port of a switch. */
export const downstreamPort: (options: PlaceAt & PortOptions) => Plugin = bridge<PortOptions>(
  'downstream-port',
  downstreamPortModel,
)
/** Places a PCIe-to-PCI bridge. */
export const pcieToPciBridge: (options: PlaceAt & BridgeOptions) => Plugin = bridge(
  'pcie-to-pci-bridge',
  pcieToPciBridgeModel,
)
/** Places a conventional PCI-to-PCI bridge. */
export const pciToPciBridge: (options: PlaceAt & BridgeOptions) => Plugin = bridge(
  'pci-to-pci-bridge',
  pciToPciBridgeModel,
)
