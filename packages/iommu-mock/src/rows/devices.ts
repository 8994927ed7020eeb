/** Mock devices: made, moved, attached for PASIDs. drivers/iommu/iommufd/selftest.c iommufd_test_mock_domain and its neighbours. */
import { type ForeignObject, type KernelDevice, type ObjectContext, type Pasid, UapiError } from '@ioasis/core'
import type { AddedDevice, MockIommu } from '../driver/mock-iommu.ts'
import * as uapi from '../spec/test-command.ts'
import { type AnyTestRow, testRow, type TestParts } from './test-row.ts'

/** Requests without a PASID. */
const RID: Pasid = 0

/** The driver of a mock device: an object with an id, which binds the device and takes it along when it goes. */
export class TestDevice implements ForeignObject {
  readonly kind = 'foreign'
  id = 0
  users = 0
  readonly #mock: MockIommu
  readonly #pasids = new Set<Pasid>()
  #added: AddedDevice | undefined
  #bound: KernelDevice | undefined

  constructor(mock: MockIommu) {
    this.#mock = mock
  }

  /** @throws UapiError EINVAL for unknown flags; what binding is refused with */
  bind(objects: ObjectContext, flags: number): KernelDevice {
    this.#added = this.#mock.add(flags)
    this.#bound = objects.bindDevice(this.#added.device, this.#added.group)
    return this.#bound
  }
  get bound(): KernelDevice {
    if (!this.#bound) throw new Error('iommu-mock: a device is used that is not bound')
    return this.#bound
  }
  get added(): AddedDevice {
    if (!this.#added) throw new Error('iommu-mock: a device is used that was not made')
    return this.#added
  }
  attachPasid(target: number, pasid: Pasid): number {
    const id = this.bound.attach(target, pasid)
    if (pasid !== RID) this.#pasids.add(pasid)
    return id
  }
  detachPasid(pasid: Pasid): void {
    this.bound.detach(pasid)
    this.#pasids.delete(pasid)
  }
  /** PASIDs that are still attached go too: Linux unbinds over them and loses what they hold. */
  destroy(): void {
    for (const pasid of this.#pasids) this.bound.detach(pasid)
    this.#bound?.detach(RID)
    this.#bound?.unbind()
    if (this.#added) this.#mock.remove(this.#added)
  }
}

type Made = Pick<uapi.MockDomain, 'out_stdev_id' | 'out_hwpt_id' | 'out_idev_id'>

/** The object has its id first, then the bound device, then what it is attached to. */
function make(mock: MockIommu, objects: ObjectContext, target: number, flags: number): Made {
  const made = new TestDevice(mock)
  objects.reserve(made)
  try {
    const bound = made.bind(objects, flags)
    const out_hwpt_id = bound.attach(target, RID)
    objects.publish(made)
    return { out_stdev_id: made.id, out_hwpt_id, out_idev_id: bound.id }
  } catch (error) {
    made.destroy()
    objects.abandon(made)
    throw error
  }
}

const find = (objects: ObjectContext, id: number): TestDevice => objects.find(id, TestDevice)

/** The rows. */
export const deviceRows = ({ mock }: TestParts): readonly AnyTestRow[] => [
  testRow({
    call: uapi.IOMMU_TEST_OP_MOCK_DOMAIN,
    run: (objects, { id }) => make(mock, objects, id, 0),
    abort: (objects, { out_stdev_id }) => objects.destroy(out_stdev_id),
  }),
  testRow({
    call: uapi.IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS,
    run: (objects, { id, dev_flags }) => make(mock, objects, id, dev_flags),
    abort: (objects, { out_stdev_id }) => objects.destroy(out_stdev_id),
  }),
  testRow({
    call: uapi.IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
    run: (objects, { id, pt_id }) => ({ pt_id: find(objects, id).bound.replace(pt_id, RID) }),
  }),
  testRow({
    call: uapi.IOMMU_TEST_OP_PASID_ATTACH,
    run: (objects, { id, pasid, pt_id }) => ({ pt_id: find(objects, id).attachPasid(pt_id, pasid) }),
    abort: (objects, { id, pasid }) => find(objects, id).detachPasid(pasid),
  }),
  testRow({
    call: uapi.IOMMU_TEST_OP_PASID_REPLACE,
    run: (objects, { id, pasid, pt_id }) => ({ pt_id: find(objects, id).bound.replace(pt_id, pasid) }),
  }),
  testRow({
    call: uapi.IOMMU_TEST_OP_PASID_DETACH,
    run: (objects, { id, pasid }) => find(objects, id).detachPasid(pasid),
  }),
  testRow({
    call: uapi.IOMMU_TEST_OP_PASID_CHECK_HWPT,
    run(objects, { id, pasid, hwpt_id }) {
      const attached = find(objects, id).added.device.attachedFor(pasid)
      const expected = hwpt_id === 0 ? undefined : objects.domain(hwpt_id)
      if (attached !== expected) throw new UapiError('EINVAL', 'IOMMU_TEST_OP_PASID_CHECK_HWPT', { pasid, hwpt_id })
    },
  }),
]
