/**
 * The configuration space as the user of a device reads and writes it: each access is cut at dwords and capabilities, and each
 * piece goes by the rules of what it belongs to. drivers/vfio/pci/vfio_pci_config.c vfio_pci_config_rw.
 */
import { COMMAND, HEADER, idsOf, MSI, type PciFunction, UapiError } from '@ioasis/core'
import { basic } from './basic.ts'
import { BASIC, startOf, UNASSIGNED, userView, type UserView } from './chain.ts'
import { express } from './express.ts'
import { advancedFeatures, errorReporting, pciX, powerBudgeting } from './further.ts'
import { CAPABILITY, EXTENDED } from './ids.ts'
import { messageInterrupts } from './message-interrupts.ts'
import type { ConfigOwner, Target } from './owner.ts'
import { type Access, type Chunk, type Count, direct, get, put, raw, rawWrites } from './permission.ts'
import { powerManagement } from './power.ts'
import { vitalProductData } from './vital-product-data.ts'
import { dword, setWord, word } from './words.ts'

type Rules = Access<Target>

const RULES: ReadonlyMap<number, Rules> = new Map<number, Rules>([
  [CAPABILITY.PM, powerManagement],
  [CAPABILITY.VPD, vitalProductData],
  [CAPABILITY.PCIX, pciX],
  [CAPABILITY.VENDOR, rawWrites],
  [CAPABILITY.EXPRESS, express],
  [CAPABILITY.AF, advancedFeatures],
])
const EXTENDED_RULES: ReadonlyMap<number, Rules> = new Map<number, Rules>([
  [EXTENDED.AER, errorReporting],
  [EXTENDED.POWER_BUDGET, powerBudgeting],
  [EXTENDED.VENDOR, rawWrites],
  [EXTENDED.DVSEC, rawWrites],
])

/** One opened device's configuration space. */
export class UserConfigSpace {
  /** Bytes: 256 or 4096. */
  readonly size: number
  readonly #target: Target
  readonly #view: UserView
  readonly #msi: Rules

  /** @param intx the function's line is connected; else the user sees no interrupt pin @param lineOff it is kept down for good */
  constructor(owner: ConfigOwner, intx: boolean, lineOff = false) {
    const { fn } = owner
    this.size = fn.config.length
    this.#view = userView(fn)
    const { virtual } = this.#view
    const realBars = [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, HEADER.ROM].map((at) => ({ at, value: dword(virtual, at) }))
    this.#target = { fn, owner, virtual, realBars, lineOff, barsDirty: true }
    this.#msi = messageInterrupts(msiFlags(fn))
    if (fn.virtfn) fillVirtual(fn, virtual)
    if (!intx) virtual[HEADER.INTERRUPT_PIN] = 0
  }

  /** COMMAND as the user set it. */
  get command(): number {
    return word(this.#view.virtual, HEADER.COMMAND)
  }
  /** The pin the user sees; 0: no INTx. */
  get interruptPin(): number {
    return this.#view.virtual[HEADER.INTERRUPT_PIN] as number
  }

  /** @throws UapiError EFAULT when the range is not inside the space; what lies before its end was not read */
  read(offset: number, into: Uint8Array): void {
    this.#each(offset, into.length, 'read', (chunk, rules, done) =>
      put(into, done, chunk.count, rules.read(this.#target, chunk)),
    )
  }
  /** @throws UapiError EFAULT as `read` */
  write(offset: number, from: Uint8Array): void {
    this.#each(offset, from.length, 'write', (chunk, rules, done) =>
      rules.write?.(this.#target, chunk, get(from, done, chunk.count)),
    )
  }

  #each(offset: number, bytes: number, what: string, run: (chunk: Chunk, rules: Rules, done: number) => void): void {
    for (let done = 0; done < bytes;) {
      const pos = offset + done
      if (pos + (bytes - done) > this.size) throw new UapiError('EFAULT', `vfio_pci_config_${what}`, { offset, bytes })
      const count = this.#chunk(pos, bytes - done)
      const id = this.#view.owner[pos] as number
      const start = id === UNASSIGNED ? pos : startOf(this.#view.owner, pos)
      run({ pos, count, offset: pos - start }, this.#rules(id, pos), done)
      done += count
    }
  }
  /** Never past the dword, nor into another capability. */
  #chunk(pos: number, bytes: number): Count {
    const { owner } = this.#view
    let left = 1
    while ((pos + left) % 4 !== 0 && owner[pos + left] === owner[pos]) left++
    const most = Math.min(bytes, left)
    if (most >= 4 && pos % 4 === 0) return 4
    return most >= 2 && pos % 2 === 0 ? 2 : 1
  }
  #rules(id: number, pos: number): Rules {
    if (id === UNASSIGNED) return raw
    if (pos >= 0x100) return EXTENDED_RULES.get(id) ?? direct
    if (id === BASIC) return basic
    return id === CAPABILITY.MSI ? this.#msi : (RULES.get(id) ?? direct)
  }
}

/** What a virtual function's own registers do not say: its ids, and that its memory is on (vfio_config_init). */
function fillVirtual(fn: PciFunction, virtual: Uint8Array): void {
  const { vendor, device } = idsOf(fn)
  setWord(virtual, HEADER.VENDOR_ID, vendor)
  setWord(virtual, HEADER.DEVICE_ID, device)
  setWord(virtual, HEADER.COMMAND, word(virtual, HEADER.COMMAND) | COMMAND.MEMORY)
  virtual[HEADER.INTERRUPT_PIN] = 0
}

function msiFlags(fn: PciFunction): number {
  const at = fn.capability(CAPABILITY.MSI)
  return at ? fn.readConfig(at + MSI.FLAGS, 2) : 0
}
