/**
 * One row for each ioctl that traces name: which members a trace prints, how its argument and payload are made. Numbers and
 * layouts come from the tables of the host; what stands here is how the recordings print a call, nothing of what it does.
 */
import { type IoctlOperation, structOperation } from './ioctl-operation.ts'
import { MOCK_MEMBER_NAMES, MOCK_OPERATIONS } from './mock-operations.ts'

/** A member's name in a trace, where it differs from the struct's: those it may have there. */
export const MEMBER_NAMES: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  VFIO_IOMMU_MAP_DMA: { length: ['size'] },
  VFIO_IOMMU_UNMAP_DMA: { length: ['size'] },
  VFIO_DEVICE_GET_REGION_INFO: { rsize: ['size'] },
  VFIO_DEVICE_IOEVENTFD: { value: ['data'] },
  ...MOCK_MEMBER_NAMES,
  IOMMU_GET_HW_INFO: { data_type: ['out_data_type', 'in_data_type'], __reserved0: ['__reserved'] },
}

type More = Omit<Partial<IoctlOperation>, 'in' | 'out' | 'argument'>
const call = structOperation
const plain = (argument: IoctlOperation['argument'], more: More & { in?: readonly string[] } = {}): IoctlOperation => ({
  argument,
  in: [],
  out: [],
  ...more,
})

/** Keyed by the constant's name. */
export const IOCTL_OPERATIONS: Readonly<Record<string, IoctlOperation>> = {
  ...MOCK_OPERATIONS,
  // include/uapi/linux/iommufd.h
  IOMMU_DESTROY: call('size id'),
  IOMMU_IOAS_ALLOC: call('size flags', 'out_ioas_id'),
  IOMMU_IOAS_IOVA_RANGES: call('size ioas_id num_iovas __reserved allowed_iovas', 'num_iovas out_iova_alignment', {
    payload: { pointer: 'allowed_iovas', length: 'num_iovas', unit: 16 },
    reads: 'ranges',
    pointers: ['allowed_iovas'],
  }),
  IOMMU_IOAS_ALLOW_IOVAS: call('size ioas_id num_iovas __reserved allowed_iovas', '', {
    payload: { pointer: 'allowed_iovas', length: 'num_iovas', unit: 16 },
    pointers: ['allowed_iovas'],
  }),
  IOMMU_IOAS_MAP: call('size flags ioas_id __reserved user_va length iova', 'iova', { pointers: ['user_va'] }),
  IOMMU_IOAS_MAP_FILE: call('fd size flags ioas_id start length iova', 'iova', { descriptors: ['fd'], ownFd: true }),
  IOMMU_IOAS_COPY: call('size flags dst_ioas_id src_ioas_id length dst_iova src_iova', 'dst_iova'),
  IOMMU_IOAS_UNMAP: call('size ioas_id iova length', 'length'),
  IOMMU_IOAS_CHANGE_PROCESS: call('size __reserved'),
  IOMMU_OPTION: call('size option_id op __reserved object_id val64', 'val64'),
  IOMMU_VFIO_IOAS: call('size ioas_id op __reserved', 'ioas_id'),
  IOMMU_HWPT_ALLOC: call(
    'size flags dev_id pt_id __reserved data_type data_len data_uptr fault_id __reserved2',
    'out_hwpt_id',
    { payload: { pointer: 'data_uptr', length: 'data_len' }, pointers: ['data_uptr'] },
  ),
  IOMMU_GET_HW_INFO: call(
    'size flags dev_id data_len data_uptr data_type __reserved0',
    'data_len data_type out_max_pasid_log2 out_capabilities',
    { payload: { pointer: 'data_uptr', length: 'data_len' }, reads: 'data', pointers: ['data_uptr'] },
  ),
  IOMMU_HWPT_SET_DIRTY_TRACKING: call('size flags hwpt_id __reserved'),
  IOMMU_HWPT_GET_DIRTY_BITMAP: call('size hwpt_id flags __reserved iova length page_size data', '', {
    payload: { pointer: 'data' },
    reads: 'data',
    pointers: ['data'],
  }),
  IOMMU_HWPT_INVALIDATE: call('size hwpt_id data_uptr data_type entry_len entry_num __reserved', 'entry_num', {
    payload: { pointer: 'data_uptr' },
    pointers: ['data_uptr'],
  }),
  IOMMU_FAULT_QUEUE_ALLOC: call('size flags', 'out_fault_id out_fault_fd', { descriptors: ['out_fault_fd'] }),
  IOMMU_VIOMMU_ALLOC: call('size flags type dev_id hwpt_id data_len __reserved data_uptr', 'out_viommu_id', {
    payload: { pointer: 'data_uptr', length: 'data_len' },
    reads: 'nothing',
    pointers: ['data_uptr'],
  }),
  IOMMU_VDEVICE_ALLOC: call('size viommu_id dev_id virt_id', 'out_vdevice_id'),
  IOMMU_VEVENTQ_ALLOC: call('size flags viommu_id type veventq_depth __reserved', 'out_veventq_id out_veventq_fd', {
    descriptors: ['out_veventq_fd'],
  }),
  IOMMU_HW_QUEUE_ALLOC: call('size flags viommu_id type index nesting_parent_iova length', 'out_hw_queue_id'),

  // include/uapi/linux/vfio.h: container
  VFIO_GET_API_VERSION: plain('none'),
  VFIO_CHECK_EXTENSION: plain('number'),
  VFIO_SET_IOMMU: plain('number'),
  VFIO_IOMMU_GET_INFO: call('argsz flags cap_offset', 'argsz flags iova_pgsizes cap_offset', {
    payload: 'behind',
    reads: 'capabilities',
  }),
  VFIO_IOMMU_MAP_DMA: call('argsz flags vaddr iova length', '', { pointers: ['vaddr'] }),
  VFIO_IOMMU_UNMAP_DMA: call('argsz flags iova length', 'length', { payload: 'behind' }),
  VFIO_IOMMU_DIRTY_PAGES: call('argsz flags', '', { payload: 'behind' }),
  VFIO_IOMMU_ENABLE: plain('none'),
  VFIO_IOMMU_DISABLE: plain('none'),
  // group
  VFIO_GROUP_GET_STATUS: call('argsz flags', 'argsz flags'),
  VFIO_GROUP_SET_CONTAINER: plain('descriptor', { in: ['container'], descriptors: ['container'] }),
  VFIO_GROUP_UNSET_CONTAINER: plain('none'),
  VFIO_GROUP_GET_DEVICE_FD: plain('text', { in: ['name'], returnsDescriptor: true }),
  // device
  VFIO_DEVICE_GET_INFO: call('argsz flags cap_offset', 'argsz flags num_regions num_irqs cap_offset', {
    payload: 'behind',
    reads: 'capabilities',
  }),
  VFIO_DEVICE_GET_REGION_INFO: call('argsz flags index cap_offset', 'argsz flags cap_offset rsize offset', {
    payload: 'behind',
    reads: 'capabilities',
  }),
  VFIO_DEVICE_GET_IRQ_INFO: call('argsz flags index', 'argsz flags count'),
  VFIO_DEVICE_SET_IRQS: call('argsz flags index start count', '', { payload: 'behind' }),
  VFIO_DEVICE_RESET: plain('none'),
  VFIO_DEVICE_GET_PCI_HOT_RESET_INFO: call('argsz flags count', 'argsz flags count', {
    payload: 'behind',
    reads: 'data',
  }),
  VFIO_DEVICE_PCI_HOT_RESET: call('argsz flags count', '', { payload: 'behind' }),
  VFIO_DEVICE_IOEVENTFD: call('fd argsz flags offset value reserved', '', { descriptors: ['fd'], ownFd: true }),
  VFIO_DEVICE_FEATURE: call('argsz flags', 'argsz', { payload: 'behind', reads: 'data', returnsDescriptor: true }),
  VFIO_DEVICE_BIND_IOMMUFD: call('argsz flags iommufd token_uuid_ptr', 'out_devid', {
    payload: { pointer: 'token_uuid_ptr' },
    descriptors: ['iommufd'],
    pointers: ['token_uuid_ptr'],
  }),
  VFIO_DEVICE_ATTACH_IOMMUFD_PT: call('argsz flags pt_id pasid', 'pt_id'),
  VFIO_DEVICE_DETACH_IOMMUFD_PT: call('argsz flags pasid'),

  // include/uapi/linux/kvm.h
  KVM_GET_API_VERSION: plain('none'),
  KVM_CHECK_EXTENSION: plain('number'),
  KVM_CREATE_VM: plain('number', { returnsDescriptor: true }),
  KVM_CREATE_DEVICE: call('type flags', 'fd', { descriptors: ['fd'] }),
  KVM_SET_DEVICE_ATTR: deviceAttribute(),
  KVM_GET_DEVICE_ATTR: deviceAttribute(),
  KVM_HAS_DEVICE_ATTR: deviceAttribute(),
}

function deviceAttribute(): IoctlOperation {
  return call('flags group attr addr', '', { payload: { pointer: 'addr' }, pointers: ['addr'] })
}
