/** The device: registers, a queue of requests, a queue of events, and translation. VIRTIO 1.2 "5.13 IOMMU Device". */
import * as io from '@ioasis/core'
import { DEVICE, FAULT, FEATURES, FLAG, REASON, type RegisterName, REGISTERS, SIZE } from '../spec/virtio-iommu.ts'
import { deviceDomains } from './domains.ts'
import { deviceQueue } from './virtqueue.ts'

/** `covers`: endpoints are the requester ids of segment 0. `lag`: requests wait until a register is read, as those do who wait. */
export type DeviceOptions = Pick<io.IommuUnit, 'name' | 'covers'> & { readonly lag?: boolean }
const TEXT = ['unknown', 'endpoint without a domain', 'nothing is mapped there for this access']
const reasonText = (status: io.Status): string => TEXT[status] ?? `reason ${status}`

/** Makes a device. @param interrupt its line goes up */
export function virtioIommuUnit({ name, covers, lag }: DeviceOptions, ram: io.HostMemory, interrupt: () => void) {
  const registers = new io.RegisterFile<RegisterName>(REGISTERS, SIZE.WINDOW)
  const [requests, events] = [deviceQueue('REQUEST', registers, ram), deviceQueue('EVENT', registers, ram)]
  const { of, answer } = deviceDomains((endpoint) => endpoint <= 0xffff && covers(0, endpoint))
  /** Handles all requests; who sent them polls. */
  const handle = (): void => {
    while (requests(answer));
  }
  registers.onWrite('QUEUE_NOTIFY', (queue) => queue === 0 && !lag && handle())
  /** FEATURES_OK stays for a driver that accepts what is offered; 0 resets all but the bypass field. */
  registers.onWrite('STATUS', (status) => {
    const [low, high] = [registers.lo('DRIVER_FEATURES'), registers.hi('DRIVER_FEATURES')]
    if (io.join(high, low) !== FEATURES) registers.set('STATUS', registers.lo('STATUS') & ~DEVICE.FEATURES_OK)
    if (status !== 0) return
    const kept = registers.lo('BYPASS')
    registers.reset()
    registers.set('BYPASS', kept)
    of.clear()
  })
  const load: io.MmioWindow['load'] = (...at) => {
    handle()
    return registers.load(...at)
  }
  const mmio: io.MmioWindow = lag ? { load, store: (...at) => registers.store(...at) } : registers
  /** Fills `out`; does not report. The bits of an access are the flags of a mapping. @param uses it is a request of a device */
  const find = (request: io.DmaRequest, uses: boolean): io.Status => {
    const { iovaHi, iovaLo, out } = request
    const message = iovaHi === 0 && iovaLo >>> 20 === io.MSI_WINDOW.first >>> 20
    out.target = message ? io.TARGET.INTERRUPT : io.TARGET.MEMORY
    out.snooped = !request.noSnoop
    out.hpaHi = iovaHi
    out.hpaLo = iovaLo
    out.bytes = Math.min(request.length, 0x1000 - (iovaLo & 0xfff))
    if (message) return io.DMA.OK
    // It knows neither PASIDs nor ATS.
    if (request.pasid !== io.NO_PASID || request.translated) return REASON.DOMAIN
    const domain = of.get(request.requester)
    if (!domain) return registers.lo('BYPASS') === 1 ? io.DMA.OK : REASON.DOMAIN
    if (domain.bypass) return io.DMA.OK
    const found = domain.mappings.findWords(iovaHi, iovaLo)
    if (!found || (found.flags & request.access) !== request.access) return REASON.MAPPING
    // What is mapped lies in the input range, of 48 bits.
    const iova = io.hpaOf(iovaHi, iovaLo)
    const hpa = found.target + iova - io.hpaOf(domain.mappings.firstHi, domain.mappings.firstLo)
    out.hpaHi = io.hpaHi(hpa)
    out.hpaLo = io.hpaLo(hpa)
    out.bytes = Math.min(request.length, io.hpaOf(domain.mappings.lastHi, domain.mappings.lastLo) - iova + 1)
    if (uses) found.used = true
    return io.DMA.OK
  }
  /** "5.13.6.8 Fault reporting": without a buffer the event is lost. */
  const report = ({ iova: address, requester: endpoint, access }: io.DmaRequest, reason: io.Status): void => {
    const event = FAULT.make({ head: reason, flags: access | FLAG.FAULT_ADDRESS, endpoint, address })
    if (events(() => event)) interrupt()
  }
  const translate = (request: io.DmaRequest): io.Status => {
    const status = find(request, true)
    if (status !== io.DMA.OK) report(request, status)
    return status
  }
  const explain = (request: io.DmaRequest): io.Explanation => {
    const [status, { hpa }] = [find(request, false), request.out]
    const told = { unit: name, entries: [], status }
    return status ? { ...told, verdict: reasonText(status) } : { ...told, hpa, verdict: `reaches ${io.hex(hpa)}` }
  }
  /** There are no caches: what is told are the mappings that translated something. */
  const inspect = (): readonly io.Claim[] =>
    [...new Set(of.values())].flatMap(({ id: tag, mappings }) => {
      const used = [...mappings.within()].filter(({ value }) => value.used)
      return used.map(({ first: iova, last, value: { target: hpa, flags } }): io.Claim => {
        const write = (flags & FLAG.WRITE) !== 0
        return { kind: 'cached', unit: name, tag, iova, bytes: last - iova + 1n, hpa, write }
      })
    })
  return { name, covers, mmio, translate, explain, inspect, reasonText }
}
