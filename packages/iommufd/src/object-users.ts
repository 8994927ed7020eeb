/** Who keeps each object from being destroyed, counted anew from those who do: what the audit compares `users` with. */
import { Access } from './access.ts'
import type { IommufdContext } from './context.ts'
import { Device } from './device.ts'
import { HwQueueObject } from './hw-queue.ts'
import { HwptNested } from './hwpt-nested.ts'
import { HwptPaging } from './hwpt-paging.ts'
import type { IommufdObject } from './object.ts'
import { Vdevice } from './vdevice.ts'
import { Veventq } from './veventq.ts'
import { ViommuObject } from './viommu.ts'

/** Objects with the number of their users as it must be. Those whose files also count are left out. */
export function expectedUsers({ objects, groups, mmaps }: IommufdContext): ReadonlyMap<IommufdObject, number> {
  const users = new Map<unknown, number>()
  const add = (object: unknown, count = 1): void => void users.set(object, (users.get(object) ?? 0) + count)
  for (const object of objects.all) for (const used of usedBy(object)) add(used)
  for (const group of groups.values()) {
    for (const { hwpt, devices } of group.attached) {
      add(hwpt, devices.size)
      for (const device of devices) add(device)
    }
  }
  const counted = objects.all.filter(({ kind }) => kind !== 'fault' && kind !== 'veventq' && kind !== 'foreign')
  return new Map(counted.map((object) => [object, (users.get(object) ?? 0) + mmaps.mapped(object)]))
}

/** What an object keeps; a device and an access are kept by who bound them. */
function usedBy(object: IommufdObject): readonly unknown[] {
  if (object instanceof HwptPaging) return [object.ioas]
  if (object instanceof HwptNested) return [object.viommu ?? object.paging]
  if (object instanceof ViommuObject) return [object.parent]
  if (object instanceof Vdevice || object instanceof Veventq) return [object.viommu]
  if (object instanceof HwQueueObject) return [object.viommu, ...object.depends]
  if (object instanceof Access) return [object, object.ioas]
  return object instanceof Device ? [object] : []
}
