import { type Cpu, Cpus, type Plugin } from '@ioasis/core'
import { describeForgottenFlushes, type ForgottenFlush } from './forgotten-flushes.ts'
import { toyWorld } from './toy-iommu/toy-world.ts'

const REGISTERS = 0xfed0_0000
const [DEVICES, FLUSH, FENCE] = [REGISTERS, REGISTERS + 8, REGISTERS + 16]
const TABLE_WORDS = 1n << 14n

/** Comes between the toy's driver and its registers, and leaves out or spoils what the driver is to forget. */
function forgetful(fault: ForgottenFlush): Plugin {
  const setup = (cpu: Cpu): void => {
    const store = cpu.store.bind(cpu)
    const load = cpu.load.bind(cpu)
    let devices = 0n
    const spoilt = (value: bigint): bigint | undefined => {
      const [first, words] = [(value >> 15n) * 8n, value & 0x7fffn]
      const ofDevice = first >= devices && first < devices + 0x8_0000n
      if (fault === 'the context cache flush') return ofDevice ? undefined : value
      if (ofDevice || words === TABLE_WORDS) return value
      if (fault === 'the IOTLB flush') return undefined
      if (fault === 'the right domain id') return value + (TABLE_WORDS << 15n)
      return fault === 'the last page of a range' ? value - 1n : value
    }
    cpu.store = (hpa, size, value) => {
      if (hpa === DEVICES) devices = value
      const sent = hpa === FLUSH ? spoilt(value) : value
      if (sent !== undefined) store(hpa, size, sent)
    }
    cpu.load = (hpa, size) => (hpa === FENCE && fault === 'the wait' ? 0n : load(hpa, size))
  }
  return { name: 'forgetful', contract: 1, needs: [Cpus], setup: (host) => setup(host.get(Cpus)[0]) }
}

describeForgottenFlushes({
  name: 'toy',
  create: (variant, fault) => toyWorld(variant, fault ? [forgetful(fault)] : []),
})
