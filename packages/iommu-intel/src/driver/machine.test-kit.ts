/** A bare machine for the tests of this directory: memory, a CPU whose cache flushes are noted, pages. */
import { type Cpu, type Hpa, HostMemory, makeCpus, PageAllocator } from '@ioasis/core'

/** The parts, and what the CPU flushed so far. */
export interface BareMachine {
  readonly memory: HostMemory
  readonly cpu: Cpu
  readonly pages: PageAllocator
  readonly flushed: (readonly [hpa: Hpa, bytes: number])[]
}

/** 16 MiB of RAM, one CPU without a cache. */
export function bareMachine(): BareMachine {
  const memory = new HostMemory()
  memory.addRam(0, 16 << 20)
  const [cpu] = makeCpus(memory, undefined, 1)
  const flushed: [Hpa, number][] = []
  cpu.clflush = (hpa, bytes) => void flushed.push([hpa, bytes])
  return { memory, cpu, pages: new PageAllocator(memory, cpu), flushed }
}
