/** Interrupt messages on their way through the unit; 48882 "Interrupt Remapping Tables", "IOMMU Controls and Actions for Upstream Interrupts". */
import { type Bdf, bitsOf, decodeMsi, get, type HostMemory, type InterruptMessage, type MsiMessage } from '@ioasis/core'
import { DTE2, INT_CTL } from '../spec/device-table.ts'
import { DEVICE_REQUEST, EVENT_CODE, EVENT_FLAG, MASTER_ABORTED } from '../spec/event.ts'
import { IRTE, IRTE_GA_HI, IRTE_GA_LO, MESSAGE } from '../spec/interrupt-table.ts'
import { CTRL } from '../spec/registers.ts'
import { DTE, DTE_WORDS_SHIFT } from './dte-cache.ts'
import type { DteReader } from './dte-reader.ts'
import type { EventLog } from './event-log.ts'
import { codeOf, flagsOf, reason } from './fault.ts'
import type { AmdRegisters } from './registers.ts'
import type { TranslationCaches } from './translation-caches.ts'

const { I, PR, RZ } = EVENT_FLAG
const ABSENT = reason(EVENT_CODE.IO_PAGE_FAULT, I)
const RESERVED = reason(EVENT_CODE.IO_PAGE_FAULT, I | PR | RZ)
const UNREADABLE = reason(EVENT_CODE.PAGE_TAB_HARDWARE_ERROR, I | MASTER_ABORTED)
const ILLEGAL = reason(EVENT_CODE.ILLEGAL_DEV_TABLE_ENTRY, I)
const ILLEGAL_RESERVED = reason(EVENT_CODE.ILLEGAL_DEV_TABLE_ENTRY, I | RZ)
const BLOCKED = reason(EVENT_CODE.INVALID_DEVICE_REQUEST, DEVICE_REQUEST.INTERRUPT_BLOCKED << 9)

/** Message data bits 10:8. */
const DELIVERY = { FIXED: 0, ARBITRATED: 1, SMI: 2, NMI: 4, INIT: 5, EXTINT: 7 } as const

/** What the remapper works with. */
export interface InterruptRemapParts {
  readonly memory: HostMemory
  readonly registers: AmdRegisters
  readonly caches: TranslationCaches
  readonly reader: DteReader
  readonly events: EventLog
}

/** The interrupt side of one unit. */
export class InterruptRemap {
  readonly #parts: InterruptRemapParts
  readonly #qemu: boolean
  /** QEMU can leave interrupt remapping out: then no table is used. */
  readonly #offered: boolean
  /** The request in hand. */
  #requester: Bdf = 0
  #domain = 0
  #message: MsiMessage = { address: 0n, data: 0 }
  #silent = false
  readonly #entry: Int32Array = new Int32Array(4)

  constructor(parts: InterruptRemapParts, options: { readonly qemu: boolean; readonly offered: boolean }) {
    this.#parts = parts
    this.#qemu = options.qemu
    this.#offered = options.offered
  }

  /** @returns the interrupt that leaves the unit; undefined when it was blocked, with the event in the log */
  remap(message: MsiMessage, requester: Bdf): InterruptMessage | undefined {
    const { registers } = this.#parts
    const on = (registers.lo('CTRL') & bitsOf(CTRL.IommuEn)) !== 0
    // QEMU asks for a device table only.
    if (this.#qemu ? (registers.lo('DEVTAB') | registers.hi('DEVTAB')) === 0 : !on) return decodeMsi(message)
    this.#requester = requester & 0xffff
    this.#message = message
    const words = this.#device()
    return words && this.#byDevice(words)
  }

  /** The entry of the function, at index 0; undefined when it cannot be used. */
  #device(): Int32Array | undefined {
    const { caches, reader, events } = this.#parts
    const requester = this.#requester
    if (!this.#qemu && caches.devices.has(requester)) {
      const at = (requester & 0xff) << DTE_WORDS_SHIFT
      return caches.devices.bus(requester).subarray(at, at + 16)
    }
    const status = reader.read(requester)
    if (status === 0) {
      if (!this.#qemu) caches.devices.put(requester, reader.entry)
      return reader.entry
    }
    // What is wrong with the words for DMA does not concern interrupts.
    if (codeOf(status) === EVENT_CODE.ILLEGAL_DEV_TABLE_ENTRY && !this.#qemu) return reader.entry
    if (codeOf(status) === EVENT_CODE.DEV_TAB_HARDWARE_ERROR) {
      events.record(reason(codeOf(status), flagsOf(status) | I), requester, 0, reader.hpaHi, reader.hpaLo)
    } else this.#log(reason(codeOf(status), flagsOf(status) | I))
    return undefined
  }

  #byDevice(words: Int32Array): InterruptMessage | undefined {
    const lo2 = words[6] as number
    const hi2 = words[7] as number
    this.#domain = (words[0] as number) & DTE.V ? (words[0] as number) >>> 16 : 0
    this.#silent = this.#qemu || get(DTE2.IG, lo2, hi2) === 1
    if (!get(DTE2.IV, lo2, hi2)) return decodeMsi(this.#message)
    if (!this.#offered) return undefined
    if (!this.#qemu && this.#parts.reader.interruptReserved(words, 0)) return this.#refuse(ILLEGAL_RESERVED)
    const { data } = this.#message
    const mode = get(MESSAGE.DeliveryMode, data, 0)
    const many = get(CTRL.NumIntRemapMode, 0, this.#parts.registers.hi('CTRL')) === 1
    if (mode > DELIVERY.ARBITRATED && !many) return this.#special(mode, hi2)
    switch (get(DTE2.IntCtl, lo2, hi2)) {
      case INT_CTL.ABORT:
        return this.#refuse(BLOCKED)
      case INT_CTL.FORWARD:
        // QEMU delivers an empty message.
        return this.#qemu ? { vector: 0, dest: 0, destMode: 'physical', deliveryMode: 0 } : decodeMsi(this.#message)
      case INT_CTL.RESERVED:
        return this.#refuse(ILLEGAL_RESERVED)
      default:
        return this.#byTable(lo2, hi2, many)
    }
  }

  /** Interrupts that no table maps: they pass as they are, or not at all; their destination must be physical. */
  #special(mode: number, hi2: number): InterruptMessage | undefined {
    const passes =
      mode === DELIVERY.SMI
        ? !this.#qemu
        : mode === DELIVERY.NMI
          ? get(DTE2.NMIPass, 0, hi2) === 1
          : mode === DELIVERY.INIT
            ? get(DTE2.InitPass, 0, hi2) === 1
            : mode === DELIVERY.EXTINT && get(DTE2.EIntPass, 0, hi2) === 1
    const logical = (Number(this.#message.address & 4n) & 4) !== 0
    return passes && !logical ? decodeMsi(this.#message) : this.#refuse(BLOCKED)
  }

  #byTable(lo2: number, hi2: number, many: boolean): InterruptMessage | undefined {
    const { caches, registers } = this.#parts
    const length = get(DTE2.IntTabLen, lo2, hi2)
    if (length > (many ? 11 : 9) && !this.#qemu) return this.#refuse(ILLEGAL)
    const index = get(MESSAGE.Index, this.#message.data, 0)
    if (index >= 1 << length && !this.#qemu) return this.#refuse(ABSENT)
    const wide = (registers.lo('CTRL') & bitsOf(CTRL.GAEn)) !== 0
    let entry = this.#qemu ? undefined : caches.interrupts.find(this.#requester, index)
    if (!entry) {
      if (!this.#read(lo2 & ~0x3f, hi2 & 0xf_ffff, index, wide)) return undefined
      entry = this.#entry
    }
    const result = wide ? this.#wide(entry) : this.#narrow(entry[0] as number)
    if (result && !this.#qemu) caches.interrupts.put(this.#requester, index, entry)
    return result
  }
  /** Reads the entry of an index into `#entry`. @returns false when nothing answers there, with the event logged */
  #read(tableLo: number, tableHi: number, index: number, wide: boolean): boolean {
    const { memory, events } = this.#parts
    const entry = this.#entry
    const first = (tableLo >>> 0) + index * (wide ? 16 : 4)
    const hi = tableHi + (first > 0xffff_ffff ? 1 : 0)
    entry.fill(0)
    for (let i = 0; i < (wide ? 2 : 1); i++) {
      if (!memory.loadEntry(hi, (first & ~7) + i * 8, true)) {
        if (!this.#silent) events.record(UNREADABLE, this.#requester, this.#domain, hi, first | 0)
        return false
      }
      entry[2 * i] = wide || (first & 4) === 0 ? memory.entryLo : memory.entryHi
      if (wide) entry[2 * i + 1] = memory.entryHi
    }
    return true
  }

  #narrow(word: number): InterruptMessage | undefined {
    if (!this.#usable(word, word >>> 24 !== 0)) return undefined
    return {
      vector: get(IRTE.Vector, word, 0),
      dest: get(IRTE.Destination, word, 0),
      destMode: get(IRTE.DM, word, 0) ? 'logical' : 'physical',
      deliveryMode: get(IRTE.IntType, word, 0),
    }
  }
  #wide(entry: Int32Array): InterruptMessage | undefined {
    const [lo0, hi0, lo1, hi1] = entry as unknown as [number, number, number, number]
    if (!this.#usable(lo0, false)) return undefined
    const xt = (this.#parts.registers.hi('CTRL') & bitsOf(CTRL.XTEn)) !== 0
    const low = get(IRTE_GA_LO.Destination, lo0, hi0)
    return {
      vector: get(IRTE_GA_HI.Vector, lo1, hi1),
      dest: xt ? (get(IRTE_GA_HI.Destination, lo1, hi1) * 0x100_0000 + low) >>> 0 : low & 0xff,
      destMode: get(IRTE_GA_LO.DM, lo0, hi0) ? 'logical' : 'physical',
      deliveryMode: get(IRTE_GA_LO.IntType, lo0, hi0),
    }
  }
  /** Guest mode would need the guest virtual APIC, which is not modelled: its entries are refused as reserved. */
  #usable(word: number, reserved: boolean): boolean {
    if (get(IRTE.SupIOPF, word, 0)) this.#silent = true
    if (!get(IRTE.RemapEn, word, 0)) return this.#refuse(ABSENT) !== undefined
    const bad = get(IRTE.GuestMode, word, 0) === 1 || get(IRTE.IntType, word, 0) > 1 || (reserved && !this.#qemu)
    return !bad || this.#refuse(RESERVED) !== undefined
  }

  #refuse(status: number): undefined {
    this.#log(status)
  }
  #log(status: number): void {
    const fault = codeOf(status) === EVENT_CODE.IO_PAGE_FAULT
    if (fault ? this.#silent : this.#qemu) return
    const { address } = this.#message
    const hi = Number(BigInt.asIntN(32, address >> 32n))
    const lo = Number(BigInt.asIntN(32, address))
    this.#parts.events.record(status, this.#requester, fault ? this.#domain : 0, hi, lo)
  }
}
