/**
 * The machine that cases run on: RAM at 0, the unit's registers, one peer device's registers, a bus with a port per
 * function, and a local APIC that nobody serves. It knows a unit only by its contract; a vendor package says how to make one.
 */
import {
  type Bdf,
  type Clock,
  type DeviceTlb,
  DmaFabric,
  type DmaPort,
  type DmaRequest,
  formatBdf,
  hex,
  HostMemory,
  type IommuUnit,
  parseBdf,
  Trace,
  VirtualClock,
} from '@ioasis/core'
import type { BdfText, CaseFile, CaseMessage, HwCase } from './case-file.ts'
import { CaseInterrupts } from './case-interrupts.ts'
import type { Personality } from './deviations.ts'
import { faultLog, type FaultLog } from './fault-log.ts'
import { RamWatch } from './ram-watch.ts'

/** A register window of the function 00:04.0, the target of peer-to-peer cases. */
const PEER_BAR = 0xfe80_0000

/** Answer to an ATS translation request, PCI Express Base Specification "Translation Completion". */
export interface AtsAnswer {
  readonly status: 'success' | 'ur' | 'ca'
  readonly read: boolean
  readonly write: boolean
  /** The device must not use No Snoop with it (N). */
  readonly snooped?: boolean
  /** Start and bytes of the answered range; absent where nothing is granted. */
  readonly hpa?: number
  readonly bytes?: number
}

/** A unit under test. */
export interface CaseUnit {
  readonly unit: IommuUnit
  /** Lets the unit finish what its queues hold. */
  idle(): void
  /** ATS with all that a completion says; absent: the unit answers no translation requests. */
  ats?(request: DmaRequest): AtsAnswer
}

/** What a unit under test is built on. */
export interface CaseUnitContext {
  readonly memory: HostMemory
  readonly clock: Clock
  readonly trace: Trace
  /** A message that the unit itself sends: fault, completion and page-request events. It is not remapped. */
  readonly raise: (address: bigint, data: number) => void
  /** A page response to a function that the unit sends without having kept its request. */
  readonly pageResponse: (requester: Bdf, pasid: number, group: number, code: string) => void
}

/**
 * Makes a unit at reset. It covers every function of segment 0.
 * @param properties the case's `unit`: QEMU's properties (format 1) or register values (format 2)
 */
export type MakeCaseUnit = (properties: HwCase['unit'], context: CaseUnitContext, personality: Personality) => CaseUnit

/** One machine for one case. */
export class CaseMachine {
  readonly memory: HostMemory = new HostMemory()
  readonly clock: Clock = new VirtualClock()
  readonly interrupts: CaseInterrupts = new CaseInterrupts()
  readonly ram: RamWatch
  readonly log: FaultLog
  readonly bus: DmaFabric
  readonly unit: IommuUnit
  /** What the unit sent, oldest first; the `messages` step empties it. */
  readonly messages: CaseMessage[] = []
  readonly #caseUnit: CaseUnit
  readonly #mmioBase: number
  readonly #ports = new Map<Bdf, DmaPort>()
  readonly #silent = new Set<Bdf>()

  constructor(file: CaseFile, hwCase: HwCase, make: MakeCaseUnit, personality: Personality) {
    const { memory, clock } = this
    memory.addRam(0, file.ramBytes)
    memory.addMmio(PEER_BAR, 0x1000, { load: () => 0n, store: () => undefined }, 'bar of 00:04.0')
    const trace = new Trace()
    this.#mmioBase = Number(file.mmioBase)
    this.#caseUnit = make(
      hwCase.unit,
      {
        memory,
        clock,
        trace,
        raise: (address, data) => this.#event(address, data),
        pageResponse: (requester, pasid, group, code) => this.pageResponse(requester, pasid, group, code),
      },
      personality,
    )
    this.unit = this.#caseUnit.unit
    if (this.unit.mmio)
      memory.addMmio(this.#mmioBase, file.iommu === 'amd' ? 0x8_0000 : 0x1000, this.unit.mmio, this.unit.name)
    this.bus = new DmaFabric(memory, this.interrupts, trace)
    this.bus.addUnit(this.unit)
    this.ram = new RamWatch(memory, file.ramBytes)
    this.log = faultLog(file.iommu, this)
    this.#connectDevices(hwCase)
  }

  /** The port of a function, as the unit sees it. A function behind the PCIe-to-PCI bridge speaks as 02:00.0. */
  port(function_: BdfText): DmaPort {
    const requester = requesterOf(function_)
    let port = this.#ports.get(requester)
    if (!port) this.#ports.set(requester, (port = this.bus.port(0, requester)))
    return port
  }
  /** Reads a register of the unit. */
  loadRegister(offset: number, size: number): bigint {
    const bytes = new Uint8Array(8)
    this.memory.read(this.#mmioBase + offset, bytes.subarray(0, size))
    return new BigUint64Array(bytes.buffer)[0] as bigint
  }
  /** Writes a register of the unit and lets it finish. */
  storeRegister(offset: number, size: number, value: bigint): void {
    this.memory.write(this.#mmioBase + offset, new Uint8Array(BigUint64Array.of(value).buffer, 0, size))
    this.idle()
  }
  /** Reads a 64-bit word of RAM. */
  loadWord(hpa: number): bigint {
    const bytes = new Uint8Array(8)
    this.memory.read(hpa, bytes)
    return new BigUint64Array(bytes.buffer)[0] as bigint
  }
  /** Lets the unit finish what its queues hold. */
  idle(): void {
    this.#caseUnit.idle()
  }
  /** @returns undefined when the unit answers no ATS requests */
  ats(request: DmaRequest): AtsAnswer | undefined {
    return this.#caseUnit.ats?.(request)
  }
  /** From now on the function does not answer ATS invalidations. */
  silence(function_: BdfText): void {
    this.#silent.add(requesterOf(function_))
  }
  /** Notes a page response that reached a function. */
  pageResponse(requester: Bdf, pasid: number, group: number, code: string): void {
    this.messages.push({
      kind: 'page-response',
      bdf: formatBdf(requester),
      pasid: hex(Math.max(pasid, 0)),
      prg: hex(group),
      code,
    })
  }

  #event(address: bigint, data: number): void {
    this.messages.push({ kind: 'fault-event', addr: hex(address), data: hex(data) })
    this.interrupts.deliverMessage(address, data)
  }
  #connectDevices(hwCase: HwCase): void {
    const functions = new Set(hwCase.steps.flatMap((step) => ('bdf' in step ? [step.bdf] : [])))
    for (const name of ['00:02.0', '00:03.0', '00:04.0', ...functions]) {
      const requester = requesterOf(name)
      this.unit.ats?.connect(requester, this.#deviceTlb(requester))
    }
  }
  #deviceTlb(requester: Bdf): DeviceTlb {
    return {
      invalidate: (_pasid, first, last, done) => {
        this.messages.push({
          kind: 'ats-invalidate',
          bdf: formatBdf(requester),
          addr: hex(first),
          size: Number(last - first) + 1,
        })
        if (!this.#silent.has(requester)) done()
      },
    }
  }
}

/** @throws Error when the text names no function; `readCaseFile` has checked it */
function requesterOf(function_: BdfText): Bdf {
  const parsed = parseBdf(function_)
  if (!parsed) throw new Error(`case machine: ${function_} is no function`)
  return parsed.bdf === 0x238 ? 0x200 : parsed.bdf
}
