/**
 * A domain that the guest wrote, on a parent that maps the guest's memory: for one device, or for a slice of its IOMMU.
 * drivers/iommu/iommufd/hw_pagetable.c iommufd_hwpt_nested_alloc, iommufd_viommu_alloc_hwpt_nested.
 */
import { type NestedDomain, UapiError, type UserData } from '@ioasis/core'
import type { FaultQueue } from './fault-queue.ts'
import type { AttachedDevice, Hwpt } from './hwpt.ts'
import type { HwptIoas, HwptPaging } from './hwpt-paging.ts'
import type { ObjectTable } from './object.ts'
import { HWPT_FLAG } from './uapi.ts'
import type { ViommuObject } from './viommu.ts'

const KNOWN: number = HWPT_FLAG.FAULT_ID_VALID | HWPT_FLAG.PASID

/** The uAPI's handle of a nested domain. It keeps its parent, or the slice that does. */
export class HwptNested implements Hwpt {
  readonly kind = 'hwpt-nested'
  id = 0
  users = 0
  readonly paging: HwptPaging
  readonly viommu: ViommuObject | undefined
  readonly pasidCompatible: boolean
  readonly domain: NestedDomain
  fault: FaultQueue | undefined

  constructor(domain: NestedDomain, on: HwptPaging | ViommuObject, flags: number) {
    this.domain = domain
    this.viommu = on.kind === 'viommu' ? on : undefined
    this.paging = on.kind === 'viommu' ? on.parent : on
    this.pasidCompatible = (flags & HWPT_FLAG.PASID) !== 0
    on.users++
  }

  get ioas(): HwptIoas {
    return this.paging.ioas
  }
  destroy(): void {
    this.domain.free()
    if (this.fault) this.fault.users--
    const on = this.viommu ?? this.paging
    on.users--
  }
}

/** What is asked: `made` is called once it is there, and may refuse it. */
export interface NestedRequest {
  readonly flags: number
  readonly data: UserData
  readonly made: (hwpt: HwptNested) => void
}

/** @throws UapiError EOPNOTSUPP for unknown flags, for no data, without nesting; EINVAL for a parent that is none; as the driver */
export function allocNested(
  objects: ObjectTable,
  parent: HwptPaging,
  { iommu }: AttachedDevice,
  request: NestedRequest,
): HwptNested {
  const { flags, data } = request
  const { nesting, driver } = iommu
  const knows = nesting !== undefined || driver.nestedDomains === true
  if ((flags & ~KNOWN) !== 0 || data.bytes === 0 || !knows) throw refuse('EOPNOTSUPP', flags)
  if (parent.automatic || !parent.nestParent || parent.driver !== driver) throw refuse('EINVAL', flags)
  if (!nesting) throw refuse('EOPNOTSUPP', flags)
  return keep(objects, parent, request, () => nesting.alloc(parent.domain, data, { pasid: wantsPasid(flags) }))
}

/** The same for a slice. @throws UapiError EOPNOTSUPP, and as the driver */
export function allocOnViommu(objects: ObjectTable, on: ViommuObject, request: NestedRequest): HwptNested {
  const { flags, data } = request
  const { viommu } = on
  if ((flags & ~KNOWN) !== 0 || data.bytes === 0 || !viommu.allocNested) throw refuse('EOPNOTSUPP', flags)
  return keep(objects, on, request, () => viommu.allocNested?.(data, { pasid: wantsPasid(flags) }) as NestedDomain)
}

const wantsPasid = (flags: number): boolean => (flags & HWPT_FLAG.PASID) !== 0

function keep(
  objects: ObjectTable,
  on: HwptPaging | ViommuObject,
  { flags, made }: NestedRequest,
  alloc: () => NestedDomain,
): HwptNested {
  return objects.make(
    () => new HwptNested(alloc(), on, flags),
    (hwpt) => {
      try {
        made(hwpt)
      } catch (error) {
        hwpt.destroy()
        throw error
      }
    },
  )
}

const refuse = (errno: 'EOPNOTSUPP' | 'EINVAL', flags: number): UapiError =>
  new UapiError(errno, 'IOMMU_HWPT_ALLOC', { flags })
