/** The only file that meets the host. */
import * as io from '@ioasis/core'
import { virtioIommuDriver } from './driver/driver.ts'
import { startViommu, type Viommu } from './driver/viommu.ts'
import { virtioIommuUnit } from './hw/unit.ts'
import { SIZE } from './spec/virtio-iommu.ts'

/** `units`: the requesters of each, all of segment 0; default: one for all. `lag`: requests wait until software waits for them. */
export type VirtioIommuOptions = {
  readonly units?: readonly ((requester: number) => boolean)[]
  readonly lag?: boolean
}

/** Devices and their driver. */
export function virtioIommu({ units = [() => true], lag = false }: VirtioIommuOptions = {}): io.Plugin {
  const needs = [io.Memory, io.Cpus, io.Pages, io.Bus, io.Tracer]
  const setup: io.Plugin['setup'] = (host) => {
    const [memory, pages, [cpu]] = [host.get(io.Memory), host.get(io.Pages), host.get(io.Cpus)]
    const viommus = units.map((has, i): Viommu => {
      const [name, base] = [`viommu${i}`, 0xfed0_0000 + i * SIZE.WINDOW]
      const covers: io.IommuUnit['covers'] = (segment, requester) => segment === 0 && has(requester)
      const unit = virtioIommuUnit({ name, covers, lag }, memory, () => viommu.interrupt(host.get(io.Tracer)))
      memory.addMmio(base, SIZE.WINDOW, unit.mmio, name)
      host.get(io.Bus).addUnit(unit)
      host.provide(io.IommuUnit, unit)
      const viommu = startViommu({ name, covers, registers: new io.MappedRegisters(cpu, base) }, cpu, pages)
      return viommu
    })
    const driver = virtioIommuDriver(viommus)
    host.provide(io.IommuDriver, driver)
    host.provide(io.AuditSource, driver)
  }
  return { name: 'virtio-iommu', contract: 1, needs, provides: [io.IommuDriver, io.IommuUnit, io.AuditSource], setup }
}
