import { type Cpu, Cpus, type Plugin } from '@ioasis/core'
import { describeForgottenFlushes, type ForgottenFlush } from './forgotten-flushes.ts'
import { toyWorld } from './toy-iommu/toy-world.test-kit.ts'

const REGISTERS = 0xfed0_0000
const TABLE_BYTES = 0x8_0000
const GLOBAL = 'the toy has one flush, of everything'

/** Comes between the toy's driver and its registers, and leaves out what the driver is to forget. */
function forgetful(fault: ForgottenFlush): Plugin {
  const setup = (cpu: Cpu): void => {
    const store = cpu.store.bind(cpu)
    let requesters: number | undefined
    let ofRequester = false
    cpu.store = (hpa, size, value) => {
      const forgotten = hpa === REGISTERS && ofRequester === (fault === 'the device entry flush')
      if (requesters === undefined || !forgotten) store(hpa, size, value)
      if (hpa === REGISTERS) requesters = Number(value)
      else ofRequester = requesters !== undefined && hpa >= requesters && hpa < requesters + TABLE_BYTES
    }
  }
  return { name: 'forgetful', contract: 1, needs: [Cpus], setup: (host) => setup(host.get(Cpus)[0]) }
}

describeForgottenFlushes({
  name: 'toy',
  create: (variant, fault) => toyWorld(variant, fault ? [forgetful(fault)] : []),
  skip: {
    'the right domain id': GLOBAL,
    'the last page of a range': GLOBAL,
    'the size of a range': GLOBAL,
    'the completion command': 'the toy has no commands',
    'the wait': 'a flush of the toy is done when its register is written',
  },
})
