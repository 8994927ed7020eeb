/** Chapter 3: a device that passes the CPUs' caches by, with and without an IOMMU that forbids it. */
import { type Cpu, Cpus, hex, type Host, IommuGroups, pageRuns, Pages, Pci } from '@ioasis/core'
import { NO_SNOOP_ENGINE, NO_SNOOP_FLAGS, NoSnoopEngine } from '@ioasis/devices'
import { machineHost } from '@ioasis/hosts'
import { hexDump, type Terminal } from '../terminal.ts'

/** The slot of the NIC, where a copy engine sits in this chapter. */
const ENGINE = '01:00.0'
const MEMORY_AND_MASTER = 6
/** Inside the window of the root port above it. */
const REGISTERS = 0xfe64_0000
const PAGE = 4096
const SOURCE = 0x10_0000n
const TARGET = 0x10_1000n
const BYTES = 16
const USER = { user: 'ioasis demo' }

const filled = (byte: number): Uint8Array => new Uint8Array(BYTES).fill(byte)

/** Prints what the CPU reads after a No Snoop write. */
export function showCoherency(name: string, terminal: Terminal): void {
  const { line, style } = terminal
  line(style.title('3  A No Snoop write, and what the CPU reads'))
  line(
    'The CPU has 16 bytes of 11 in its cache. A device writes 22 over them with the No Snoop attribute: past the cache.',
  )
  for (const enforced of [false, true]) one(name, enforced, terminal)
  line()
}

function one(name: string, enforced: boolean, { line, style }: Terminal): void {
  const host = machineHost(name, {
    machine: { cache: true },
    model: (place) => (place.endsWith(ENGINE) ? new NoSnoopEngine() : undefined),
  })
  const engine = host.get(Pci).get(ENGINE)
  engine.writeConfig(0x10, 4, REGISTERS)
  engine.writeConfig(4, 2, MEMORY_AND_MASTER)
  const [cpu] = host.get(Cpus)
  const { source, target, close } = buffers(host, enforced)
  cpu.write(source, filled(0x22))
  cpu.write(target, filled(0x11))
  cpu.clflush(source, BYTES)
  cpu.clflush(target, BYTES)
  const read = (): string => hexDump(loaded(cpu, target), target)[0] ?? ''
  read()
  copy(cpu)
  const before = read()
  line(
    enforced
      ? 'The domain enforces coherency: every leaf has SNP set, the unit overrides the attribute.'
      : 'Not enforced:',
  )
  line(`  the CPU reads     ${before.includes('22') ? style.good(before) : style.bad(before)}`)
  cpu.wbinvd()
  line(`  and after WBINVD  ${style.good(read())}`)
  close()
  host.close()
}

/** Two pages mapped for the engine. */
function buffers(host: Host, enforced: boolean): { readonly source: number; readonly target: number; close(): void } {
  const group = host.get(IommuGroups).containing(ENGINE)
  const pages = host.get(Pages)
  const domain = group.allocDomain()
  if (enforced && domain.coherency?.enforce() !== true) throw new Error('this machine cannot enforce coherency')
  group.claim(USER, false)
  group.attach(domain)
  const hpa = pages.alloc(2 * PAGE, 'demo buffers')
  domain.map(SOURCE, pageRuns([hpa, 2 * PAGE]), { read: true, write: true })
  return {
    source: hpa,
    target: hpa + PAGE,
    close: () => {
      group.detach()
      group.release(USER)
      domain.free()
      pages.free(hpa, 2 * PAGE)
    },
  }
}

function loaded(cpu: Cpu, hpa: number): Uint8Array {
  const into = new Uint8Array(BYTES)
  cpu.read(hpa, into)
  return into
}

/** Programs the engine through its registers, as a driver does. */
function copy(cpu: Cpu): void {
  const store = (offset: number, value: bigint): void => cpu.store(REGISTERS + offset, 4, value)
  store(NO_SNOOP_ENGINE.SOURCE_LO, SOURCE)
  store(NO_SNOOP_ENGINE.SOURCE_HI, 0n)
  store(NO_SNOOP_ENGINE.DESTINATION_LO, TARGET)
  store(NO_SNOOP_ENGINE.DESTINATION_HI, 0n)
  store(NO_SNOOP_ENGINE.LENGTH, BigInt(BYTES))
  store(NO_SNOOP_ENGINE.FLAGS, BigInt(NO_SNOOP_FLAGS.START | NO_SNOOP_FLAGS.NO_SNOOP))
  const result = cpu.load(REGISTERS + NO_SNOOP_ENGINE.RESULT, 4)
  if (result !== 0n) throw new Error(`the copy ended with ${hex(result)}`)
}
