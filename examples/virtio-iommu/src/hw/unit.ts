/** The device: registers, a queue of requests, a queue of events, and translation. VIRTIO 1.2 "5.13 IOMMU Device". */
import * as io from '@ioasis/core'
import { FAULT, FLAG, REASON } from '../spec/iommu.ts'
import { type RegisterName, REGISTERS, SIZE, STATUS } from '../spec/virtio.ts'
import { deviceDomains, type Mapping } from './domains.ts'
import { deviceQueue } from './virtqueue.ts'

/** `covers`: endpoints are the requester ids of segment 0. `lag`: requests wait until a register is read, as those do who wait. */
export type DeviceOptions = Pick<io.IommuUnit, 'name' | 'covers'> & { readonly lag?: boolean }
const TEXT = ['unknown', 'endpoint without a domain', 'nothing is mapped there for this access']
const reasonText = (status: io.Status): string => TEXT[status] ?? `reason ${status}`

/** Makes a device. @param interrupt its line goes up */
export function virtioIommuUnit(
  { name, covers, lag = false }: DeviceOptions,
  ram: io.HostMemory,
  interrupt: () => void,
) {
  const registers = new io.RegisterFile<RegisterName>(REGISTERS, SIZE.WINDOW)
  const [requests, events] = [deviceQueue('REQUEST', registers, ram), deviceQueue('EVENT', registers, ram)]
  const accepts = (feature: number): boolean => (registers.lo('DRIVER_FEATURES') & feature) !== 0
  const { of, answer } = deviceDomains((endpoint) => endpoint <= 0xffff && covers(0, endpoint), accepts)
  const bypass = registers.placeOf('BYPASS')
  let hit: Mapping | undefined

  /** Handles all requests; who sent them polls. */
  const handle = (): void => {
    for (let one = requests.take(); one; one = requests.take()) requests.give(one, answer(one.readable))
    if (requests.isBroken()) registers.set('STATUS', registers.lo('STATUS') | STATUS.NEEDS_RESET)
  }
  registers.onWrite('QUEUE_NOTIFY', (queue) => queue === 0 && !lag && handle())
  /** FEATURES_OK stays for VIRTIO_F_VERSION_1 and nothing that was not offered; 0 resets all but the bypass field. */
  registers.onWrite('STATUS', (status) => {
    const unknown = registers.lo('DRIVER_FEATURES') & ~registers.lo('DEVICE_FEATURES')
    if (unknown !== 0 || registers.hi('DRIVER_FEATURES') !== 1) registers.set('STATUS', status & ~STATUS.FEATURES_OK)
    if (status !== 0) return
    const kept = registers.wordAt(bypass)
    registers.reset()
    registers.setAt(bypass, kept)
    of.clear()
  })
  const load: io.MmioWindow['load'] = (...at) => {
    handle()
    return registers.load(...at)
  }
  const mmio: io.MmioWindow = lag ? { load, store: (...at) => registers.store(...at) } : registers

  /** Fills `out`; neither reports nor remembers. The bits of an access are the flags of a mapping. */
  const find = (request: io.DmaRequest): io.Status => {
    const { iovaHi, iovaLo, out } = request
    const message = iovaHi === 0 && iovaLo >>> 20 === io.MSI_WINDOW.first >>> 20
    hit = undefined
    out.target = message ? io.TARGET.INTERRUPT : io.TARGET.MEMORY
    out.snooped = !request.noSnoop
    out.hpaHi = iovaHi
    out.hpaLo = iovaLo
    out.bytes = Math.min(request.length, 0x1000 - (iovaLo & 0xfff))
    if (message) return io.DMA.OK
    // It knows neither PASIDs nor ATS.
    if (request.pasid !== io.NO_PASID || request.translated) return REASON.DOMAIN
    const domain = of.get(request.requester)
    if (!domain) return registers.wordAt(bypass) === 1 ? io.DMA.OK : REASON.DOMAIN
    if (domain.bypass) return io.DMA.OK
    const found = domain.mappings.findWords(iovaHi, iovaLo)
    if (!found || (found.flags & request.access) !== request.access) return REASON.MAPPING
    const low = (iovaLo >>> 0) + (found.deltaLo >>> 0)
    out.hpaLo = low | 0
    out.hpaHi = (iovaHi + found.deltaHi + (low > 0xffff_ffff ? 1 : 0)) | 0
    const left = ((found.lastHi >>> 0) - (iovaHi >>> 0)) * 0x1_0000_0000 + (found.lastLo >>> 0) - (iovaLo >>> 0) + 1
    out.bytes = Math.min(request.length, left)
    hit = found
    return io.DMA.OK
  }
  /** "5.13.6.8 Fault reporting": without a buffer the event is lost. */
  const report = ({ iova: address, requester: endpoint, access }: io.DmaRequest, reason: io.Status): io.Status => {
    const chain = events.take()
    if (!chain) return reason
    events.give(chain, FAULT.make({ reason, flags: access | FLAG.FAULT_ADDRESS, endpoint, address }))
    registers.set('INTERRUPT_STATUS', 1)
    interrupt()
    return reason
  }
  const translate = (request: io.DmaRequest): io.Status => {
    const status = find(request)
    if (status !== io.DMA.OK) return report(request, status)
    if (hit) hit.used = true
    return status
  }
  const explain = (request: io.DmaRequest): io.Explanation => {
    const [status, { hpa }] = [find(request), request.out]
    const told = { unit: name, entries: [], status }
    return status ? { ...told, verdict: reasonText(status) } : { ...told, hpa, verdict: `reaches ${io.hex(hpa)}` }
  }
  /** There are no caches: what is told are the mappings that translated something. */
  const inspect = (): readonly io.Claim[] =>
    [...new Set(of.values())].flatMap(({ id: tag, mappings }) =>
      [...mappings.within()].flatMap(
        ({ first: iova, last, value: { used, target: hpa, flags } }): readonly io.Claim[] => {
          const write = (flags & FLAG.WRITE) !== 0
          return used ? [{ kind: 'cached', unit: name, tag, iova, bytes: last - iova + 1n, hpa, write }] : []
        },
      ),
    )
  return { name, covers, mmio, translate, explain, inspect, reasonText }
}
