/** The only file that meets the host. */
import { AuditSource, Bus, Cpus, IommuDriver, IommuUnit, Memory, Pages, type Plugin, Tracer } from '@ioasis/core'
import { VirtioIommuDriver } from './driver/driver.ts'
import { startViommu, type Viommu } from './driver/viommu.ts'
import { virtioIommuUnit } from './hw/unit.ts'
import { SIZE } from './spec/virtio.ts'

/** `units`: the requesters of each, all of segment 0; default: one for all. `lag`: requests wait until software waits for them. */
export type VirtioIommuOptions = {
  readonly units?: readonly ((requester: number) => boolean)[]
  readonly lag?: boolean
}

/** Devices and their driver. */
export function virtioIommu({ units = [() => true], lag = false }: VirtioIommuOptions = {}): Plugin {
  const needs = [Memory, Cpus, Pages, Bus, Tracer]
  const setup: Plugin['setup'] = (host) => {
    const [memory, trace, pages, [cpu]] = [host.get(Memory), host.get(Tracer), host.get(Pages), host.get(Cpus)]
    const viommus = units.map((has, i): Viommu => {
      const [name, registers] = [`viommu${i}`, 0xfed0_0000 + i * SIZE.WINDOW]
      const covers: IommuUnit['covers'] = (segment, requester) => segment === 0 && has(requester)
      const unit = virtioIommuUnit({ name, covers, lag }, memory, () => viommu.interrupt(trace))
      memory.addMmio(registers, SIZE.WINDOW, unit.mmio, name)
      host.get(Bus).addUnit(unit)
      host.provide(IommuUnit, unit)
      const viommu = startViommu({ name, registers, covers }, cpu, pages)
      return viommu
    })
    const driver = new VirtioIommuDriver(viommus)
    host.provide(IommuDriver, driver)
    host.provide(AuditSource, driver)
  }
  return { name: 'virtio-iommu', contract: 1, needs, provides: [IommuDriver, IommuUnit, AuditSource], setup }
}
