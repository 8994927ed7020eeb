/** What each step of a case does to the machine and what it compares: one row per op. */
import { ACCESS, DMA, type DmaPort, hex, NO_PASID } from '@ioasis/core'
import type { CaseMachine } from './case-machine.ts'
import { deliveredText } from './case-interrupts.ts'
import type { CaseResult, HwCase, MemWrite, StepOp, StepsByOp } from './case-file.ts'
import {
  compareEvents,
  compareFaults,
  compareHex,
  compareResult,
  compareValue,
  type FieldDifference,
  type Observed,
} from './compare.ts'
import { bytesOf, patternBytes, readPieces, splitChanges, tagBytes } from './landed.ts'
import type { RamChange } from './ram-watch.ts'
import { registerPlace } from './registers.ts'

/** A case being played. */
export interface Play {
  readonly machine: CaseMachine
  readonly iommu: 'intel' | 'amd'
  readonly format: 1 | 2
  readonly exactCaches: boolean
  /** Notes which member of a step's `anyOf` the unit chose. */
  chose(alternative: number): void
}
type Row<K extends StepOp> = (play: Play, step: StepsByOp[K]) => FieldDifference[]

/** One row per op. */
export const STEP_ROWS: { readonly [K in StepOp]: Row<K> } = {
  mem: ({ machine }, { addr, u64 }) => {
    machine.ram.write(Number(addr), bytesOf(u64.map(BigInt)))
    return []
  },
  tag: ({ machine }, { addr, len }) => {
    machine.ram.write(Number(addr), tagBytes(Number(addr), len))
    return []
  },
  reg: ({ machine }, { off, size, value, memWrites }) => {
    machine.ram.changes()
    machine.storeRegister(Number(off), size, BigInt(value))
    machine.log.registerWritten(Number(off))
    const changed = machine.ram.changes().map(writeText)
    return memWrites ? compareValue('memWrites', memWrites, changed) : []
  },
  'read-reg': ({ machine }, { off, size, value, mask }) =>
    compareHex('value', value, machine.loadRegister(Number(off), size), mask),
  'read-mem': ({ machine }, { addr, u64, mask }) =>
    u64.flatMap((word, i) => compareHex(`u64[${i}]`, word, machine.loadWord(Number(addr) + 8 * i), mask?.[i])),
  dma: (play, step) => {
    const port = portOf(play.machine, step)
    port.request.noSnoop = step.noSnoop === 1
    port.request.translated = step.at === 'translated'
    const data = step.dir === 'write' ? patternBytes(step.len) : new Uint8Array(step.len)
    const { status, ours } = observe(play, () => transfer(port, step, data))
    const { landed, stored, unit } = splitChanges(ours, {
      iova: BigInt(step.iova),
      len: step.dir === 'read' ? 0 : step.len,
      atomic: step.dir === 'atomic',
    })
    const refused = status !== DMA.OK
    const result: Observed = {
      bus: refused ? 'error' : 'ok',
      landed,
      // A refused read leaves the recorded device with the zeros it had, and shows nothing to a written case.
      read: refused && play.format === 2 ? [] : readPieces(BigInt(step.iova), data),
      coherency: port.request.out.snooped ? 'snoop' : 'no-snoop',
      memWrites: unitWrites(play, unit),
      faults: play.machine.log.sinceMark(),
    }
    for (const { hpa, before } of stored) play.machine.ram.write(hpa, bytesOf([before]))
    return judge(play, step.result, result)
  },
  msi: (play, { bdf, addr, data, result }) => {
    const { interrupts } = play.machine
    const port = portOf(play.machine, { bdf })
    port.request.noSnoop = port.request.translated = false
    const before = new Set(interrupts.pending)
    const first = interrupts.delivered.length
    const { ours } = observe(play, () => port.sendMsi(BigInt(addr), Number(data)))
    const delivered =
      play.format === 1
        ? interrupts.pending.filter((vector) => !before.has(vector)).map((v) => hex(v))
        : interrupts.delivered.slice(first).map(deliveredText)
    return judge(play, result, { delivered, memWrites: unitWrites(play, ours), faults: play.machine.log.sinceMark() })
  },
  ats: (play, step) => {
    const { request } = portOf(play.machine, step)
    request.iovaHi = Number(BigInt(step.iova) >> 32n) | 0
    request.iovaLo = Number(BigInt(step.iova) & 0xffff_ffffn) | 0
    request.length = 4096
    request.access = step.nw === 1 ? ACCESS.READ : ACCESS.WRITE
    request.noSnoop = request.translated = false
    let answer: ReturnType<CaseMachine['ats']>
    const { ours } = observe(play, () => {
      answer = play.machine.ats(request)
      return DMA.OK
    })
    if (!answer)
      return [{ field: 'result.status', expected: step.result.status, ours: 'the unit answers no ATS requests' }]
    return judge(play, step.result, {
      status: answer.status,
      r: answer.read ? 1 : 0,
      w: answer.write ? 1 : 0,
      n: answer.snooped ? 1 : 0,
      addr: hex(answer.hpa ?? 0),
      size: answer.bytes ?? 0,
      memWrites: unitWrites(play, ours),
      faults: play.machine.log.sinceMark(),
    })
  },
  'page-request': (play, step) => {
    const { machine } = play
    const { requester, pasid } = portOf(machine, step).request
    if (!machine.unit.pri) return [{ field: 'result', expected: step.result, ours: 'the unit takes no page requests' }]
    machine.log.mark()
    machine.unit.pri.request({
      requester,
      pasid,
      iova: BigInt(step.addr),
      read: step.r === 1,
      write: step.w === 1,
      exec: step.exec === 1,
      priv: step.priv === 1,
      last: step.last === 1,
      group: step.prg,
      respond: (code) => machine.pageResponse(requester, pasid, step.prg, code),
    })
    machine.idle()
    return step.result.faults ? compareFaults('result.faults', step.result.faults, machine.log.sinceMark()) : []
  },
  'pending-vectors': ({ machine }, { value }) =>
    compareValue(
      'value',
      value,
      machine.interrupts.pending.map((v) => hex(v)),
    ),
  events: ({ machine }, { events, evtTail, status }) => {
    const ours = machine.log.sinceListed()
    return [
      ...compareEvents('events', events, ours.events ?? []),
      ...(evtTail === undefined ? [] : compareHex('evtTail', evtTail, ours.evtTail ?? '0x0')),
      ...(status === undefined ? [] : compareHex('status', status, ours.status ?? '0x0')),
    ]
  },
  messages: ({ machine }, { messages }) => compareValue('messages', messages, machine.messages.splice(0)),
  device: ({ machine }, { bdf, devTlb }) => {
    if (devTlb !== 'silent') return [{ field: 'devTlb', expected: devTlb, ours: 'the machine knows `silent` alone' }]
    machine.silence(bdf)
    return []
  },
  advance: ({ machine }, { ms }) => {
    machine.clock.advance(ms)
    machine.idle()
    return []
  },
  note: () => [],
}

/** Compares the registers at the end of a recorded case. */
export function compareAfter({ machine, iommu }: Play, after: NonNullable<HwCase['after']>): FieldDifference[] {
  return Object.entries(after).flatMap(([name, value]) => {
    const place = registerPlace(iommu, name)
    if (!place) return [{ field: `after.${name}`, expected: value, ours: 'a register that the player cannot place' }]
    return compareHex(`after.${name}`, value, machine.loadRegister(...place))
  })
}

/** The port of a step's function, carrying the step's PASID prefix. */
function portOf(machine: CaseMachine, step: { bdf: string; pasid?: string; exec?: number; priv?: number }): DmaPort {
  const port = machine.port(step.bdf)
  port.request.pasid = step.pasid === undefined ? NO_PASID : Number(step.pasid)
  port.request.exec = step.exec === 1
  port.request.priv = step.priv === 1
  return port
}

function transfer(port: DmaPort, { dir, iova }: StepsByOp['dma'], data: Uint8Array): number {
  const address = BigInt(iova)
  if (dir === 'write') return port.write(address, data)
  if (dir === 'read') return port.read(address, data)
  return port.fetchAdd64(Number(address >> 32n) | 0, Number(address & 0xffff_ffffn) | 0, 1n)
}

/** Runs an access between two looks at RAM. */
function observe({ machine }: Play, access: () => number): { readonly status: number; readonly ours: RamChange[] } {
  machine.ram.changes()
  machine.log.mark()
  const status = access()
  machine.idle()
  return { status, ours: machine.ram.changes() }
}

/** Words that the unit changed; entries of its log are listed as faults, not here. */
const unitWrites = ({ machine }: Play, changes: readonly RamChange[]): MemWrite[] =>
  changes.filter(({ hpa }) => !machine.log.owns(hpa)).map(writeText)
const writeText = ({ hpa, before, after }: RamChange): MemWrite => ({
  addr: hex(hpa),
  before: hex(before),
  after: hex(after),
})

function judge(play: Play, expected: CaseResult, ours: Observed): FieldDifference[] {
  const { differences, alternative } = compareResult(expected, ours, play.exactCaches)
  if (alternative !== undefined) play.chose(alternative)
  return differences
}
