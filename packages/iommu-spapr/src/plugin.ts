/** The only file of this package that meets the host: bridges on the bus, firmware behind them, the platform's driver, the containers. */
import {
  AuditSource,
  Bus,
  ContainerBackend,
  Cpus,
  hex,
  IoctlTable,
  IommuDriver,
  IommuUnit,
  Kernel,
  Memory,
  Pages,
  Pci,
  type Plugin,
  type PluginHost,
  type Token,
  token,
  Tracer,
} from '@ioasis/core'
import { spaprContainers } from './container/index.ts'
import { PowernvDriver } from './driver/powernv/powernv-driver.ts'
import { PseriesDriver } from './driver/pseries/pseries-driver.ts'
import { type FirmwareCall, FirmwareLog } from './hw/firmware-log.ts'
import { Hypervisor, TOKEN } from './hw/hypervisor.ts'
import { Opal } from './hw/opal.ts'
import { Phb } from './hw/phb.ts'
import { TceTable } from './hw/tce-table.ts'
import { VirtualPhb } from './hw/virtual-phb.ts'
import { cells, defaultWindow, type DeviceNode, PROPERTY } from './spec/device-tree.ts'
import { reasonText } from './spec/fault-reason.ts'
import { TCE_SHIFT_MIN } from './spec/tce.ts'
import { resetBehind } from './reset-behind.ts'

/** What the kernel asked of firmware: OPAL calls, hypercalls, RTAS calls. Written down while `wanted`. */
export interface FirmwareCalls {
  wanted: boolean
  readonly calls: readonly FirmwareCall[]
  clear(): void
}
/** The firmware calls of this host. */
export const FirmwareCalls: Token<FirmwareCalls> = token('FirmwareCalls')

/** One host bridge of a powernv machine. */
export interface PowernvBridge {
  /** PCI domain; bridges are numbered in the order they are listed. */
  readonly segment: number
  /** `ibm,opal-num-pes`. Default 256. */
  readonly endpoints?: number
}
/** A machine on which the kernel runs on the hardware itself. */
export interface PowernvOptions {
  /** Default: one for PCI domain 0. */
  readonly bridges?: readonly PowernvBridge[]
  /** log2 of the page sizes that `ibm,supported-tce-sizes` lists. Default 12, 16, 21, 30: POWER9 and POWER10. */
  readonly pageShifts?: readonly number[]
  /** Bytes of the window for 32-bit devices. Default 2 GiB. */
  readonly dma32?: bigint
  /** Endpoints freeze and are recovered. Default true. */
  readonly eeh?: boolean
  /** Where QEMU departs from hardware: nothing freezes, bits above a table are not looked at. Default `specification`. */
  readonly personality?: 'specification' | 'qemu'
}

/** Bridges, firmware and driver of a powernv machine. */
export function powernvIommu(options: PowernvOptions = {}): Plugin {
  return {
    name: 'iommu-powernv',
    contract: 1,
    needs: [Kernel, Memory, Cpus, Pages, Bus, Pci, Tracer],
    provides: [IommuDriver, IommuUnit, AuditSource, ContainerBackend, IoctlTable, FirmwareCalls],
    setup: (host) => {
      const { bridges = [{ segment: 0 }], pageShifts = [12, 16, 21, 30], eeh = true, personality } = options
      const pci = host.get(Pci)
      const how = personality ? { personality } : {}
      const phbs = bridges.map(({ segment, endpoints = 256 }, i) => {
        const phb = new Phb({ name: `phb${i}`, segment, endpoints, ...how }, host.get(Memory))
        addUnit(host, phb)
        host.provide(AuditSource, { name: phb.name, claims: () => phb.inspect() })
        return phb
      })
      connectErrors(host, phbs)
      const log = firmwareLog(host)
      const bus = { resetBehind: (segment: number, bridge: number) => resetBehind(pci, segment, bridge) }
      const qemu = personality === 'qemu'
      const opal = new Opal(phbs, bus, log, { qemu, pageShifts })
      const driver = new PowernvDriver(
        {
          memory: { cpu: host.get(Cpus)[0], pages: host.get(Pages), pageSize: host.get(Kernel).pageSize },
          opal,
          trace: host.get(Tracer),
          ram: endOfRam(host),
          dma32: options.dma32 ?? 0x8000_0000n,
          pageSizes: pageShifts.reduce((sizes, shift) => sizes | (1n << BigInt(shift)), 0n),
          eeh,
          windows: new Set(),
        },
        pci,
        phbs,
      )
      host.provide(IommuDriver, driver)
      host.provide(AuditSource, driver)
      const stop = pci.onRemoved((fn) => driver.removed(fn))
      host.onClose(() => {
        stop()
        driver.close()
      })
      provideContainers(host, eeh)
    },
  }
}

/** One host bridge of a partition. */
export interface PseriesBridge {
  readonly segment: number
  /** Unit id of the bus. Default: 0x800000020000000 and up. */
  readonly buid?: bigint
}
/** A partition: the kernel runs under a hypervisor. */
export interface PseriesOptions {
  /** Default: one for PCI domain 0. */
  readonly bridges?: readonly PseriesBridge[]
  /** Bytes of each bridge's default window. Default 1 GiB. */
  readonly defaultWindow?: number
  /** Firmware offers windows beyond the default one. Default true. */
  readonly dynamicWindows?: boolean
}

const BUID = 0x800_0000_2000_0000n
/** Bit 31 marks a number of PCI; bits 15:8 are the bridge, bits 7:0 the window. */
const LIOBN = 0x8000_0000

/** Bridges, hypervisor and driver of a partition. */
export function pseriesIommu(options: PseriesOptions = {}): Plugin {
  return {
    name: 'iommu-pseries',
    contract: 1,
    needs: [Kernel, Memory, Cpus, Pages, Bus, Pci],
    provides: [IommuDriver, IommuUnit, AuditSource, ContainerBackend, IoctlTable, FirmwareCalls],
    setup: (host) => {
      const { bridges = [{ segment: 0 }], defaultWindow: bytes = 0x4000_0000, dynamicWindows = true } = options
      const phbs = bridges.map(({ segment, buid = BUID + BigInt(segment) }, i) => {
        const liobn = LIOBN + i * 0x100
        const phb = new VirtualPhb(`phb${i}`, segment, buid, [new TceTable(liobn), new TceTable(liobn + 1)])
        addUnit(host, phb)
        return phb
      })
      const log = firmwareLog(host)
      const hypervisor = new Hypervisor(phbs, host.get(Memory), log, {
        defaultWindow: { first: 0n, bytes },
        dynamic: dynamicWindows,
      })
      const parts = {
        calls: hypervisor,
        rtas: hypervisor,
        cpu: host.get(Cpus)[0],
        pages: host.get(Pages),
        ram: endOfRam(host),
      }
      const nodes = phbs.map((phb) => ({
        name: phb.name,
        segment: phb.segment,
        buid: phb.buid,
        node: bridgeNode(phb.tables[0].liobn, bytes, dynamicWindows),
      }))
      const driver = new PseriesDriver(parts, nodes)
      host.provide(IommuDriver, driver)
      // What the audit asks the hypervisor is none of the kernel's calls.
      host.provide(AuditSource, { name: driver.name, claims: (near) => log.unwritten(() => driver.claims(near)) })
      provideContainers(host, false)
    },
  }
}

/** The properties firmware gives a bridge. */
function bridgeNode(liobn: number, bytes: number, dynamic: boolean): DeviceNode {
  const node: DeviceNode = new Map()
  node.set(PROPERTY.DEFAULT, defaultWindow({ liobn, first: 0n, bytes: BigInt(bytes) }))
  if (!dynamic) return node
  node.set(PROPERTY.APPLICABLE, cells(TOKEN.QUERY, TOKEN.CREATE, TOKEN.REMOVE))
  node.set(PROPERTY.EXTENSIONS, cells(2, TOKEN.RESET, 1))
  return node
}

function addUnit(host: PluginHost, unit: IommuUnit): void {
  host.get(Bus).addUnit(unit)
  host.provide(IommuUnit, unit)
}
function firmwareLog(host: PluginHost): FirmwareLog {
  const log = new FirmwareLog()
  host.provide(FirmwareCalls, log)
  return log
}
function provideContainers(host: PluginHost, eeh: boolean): void {
  const { pageSize } = host.get(Kernel)
  const { backend, audit, table } = spaprContainers({ eeh, pageSize, ram: Number(endOfRam(host)) })
  host.provide(ContainerBackend, backend)
  host.provide(AuditSource, audit)
  host.provide(IoctlTable, table)
}
const endOfRam = (host: PluginHost): bigint => {
  const last = host.get(Memory).ram.at(-1)?.last ?? 2 ** TCE_SHIFT_MIN - 1
  return BigInt(last) + 1n
}

/** A frozen endpoint's registers read as ones; errors are told as events. */
function connectErrors(host: PluginHost, phbs: readonly Phb[]): void {
  const pci = host.get(Pci)
  const trace = host.get(Tracer)
  for (const phb of phbs) {
    phb.onFreeze = (pe, on) => {
      for (const fn of pci.functions) {
        if (fn.segment === phb.segment && phb.endpointOf(fn.bdf) === pe && !fn.bridge) fn.isolate(on)
      }
    }
    phb.onError = ({ pe, requester, iova, write, reason }) => {
      if (!trace.wants('fault')) return
      const text = `PHB#${phb.segment.toString(16)}-PE#${pe.toString(16)}: ${write ? 'write' : 'read'} of ${hex(iova)}: ${reasonText(reason)}`
      trace.emit('fault', { unit: phb.name, requester, iova, reason, write, text })
    }
  }
}
