/** The calls of /dev/iommu: one row each, in the order of the uAPI header. drivers/iommu/iommufd/main.c iommufd_ioctl_ops. */
import { type IoctlRow, type IoctlTable, IOMMUFD_CONVENTION, UapiError } from '@ioasis/core'
import { changeProcess } from './change-process.ts'
import type { IommufdContext } from './context.ts'
import { hwInfo } from './hw-info.ts'
import { hwptRows } from './hwpt-rows.ts'
import { checkMapFlags, copy, Ioas, mapFile, mapUser, readRanges, unmap, writeRanges } from './ioas.ts'
import { option } from './options.ts'
import * as uapi from './uapi.ts'
import { compatIoas } from './vfio-compat.ts'
import { viommuRows } from './viommu-rows.ts'

/** A row of /dev/iommu. */
export type Row<T> = IoctlRow<IommufdContext, T>
const row = <T>(made: Row<T>): Row<T> => made

const ioas = ({ objects }: IommufdContext, id: number): Ioas => objects.find(id, Ioas)

/** Flags and reserved members that must be 0. @throws UapiError EOPNOTSUPP */
export function mustBeZero(call: string, value: number): void {
  if (value !== 0) throw new UapiError('EOPNOTSUPP', call, { value })
}

const rows = [
  row({
    call: uapi.IOMMU_DESTROY,
    run(context, { id }) {
      context.objects.destroy(id)
      return { ret: 0 }
    },
  }),
  row({
    call: uapi.IOMMU_IOAS_ALLOC,
    run(context, { flags }) {
      mustBeZero('IOMMU_IOAS_ALLOC', flags)
      return { ret: 0, out: { out_ioas_id: context.objects.add(new Ioas(context)).id } }
    },
    abort: (context, { out_ioas_id }) => context.objects.destroy(out_ioas_id as number),
  }),
  row({
    call: uapi.IOMMU_IOAS_ALLOW_IOVAS,
    run(context, { __reserved, ioas_id, allowed_iovas, num_iovas }, caller) {
      mustBeZero('IOMMU_IOAS_ALLOW_IOVAS', __reserved)
      const { table } = ioas(context, ioas_id)
      table.iovas.allow(readRanges(caller, allowed_iovas, num_iovas))
      return { ret: 0 }
    },
  }),
  row({
    call: uapi.IOMMU_IOAS_COPY,
    run(context, input) {
      const { length, dst_iova, src_ioas_id, dst_ioas_id } = input
      const { flags, src_iova } = context.parts.test ? fuzzedSource(context, input) : input
      checkMapFlags('IOMMU_IOAS_COPY', flags, length, src_iova, dst_iova)
      const source = ioas(context, src_ioas_id)
      const at = copy(source, () => ioas(context, dst_ioas_id), { flags, length, src_iova, dst_iova })
      return { ret: 0, out: { dst_iova: at } }
    },
  }),
  row({
    call: uapi.IOMMU_IOAS_IOVA_RANGES,
    run(context, { __reserved, ioas_id, allowed_iovas, num_iovas: room }, caller) {
      mustBeZero('IOMMU_IOAS_IOVA_RANGES', __reserved)
      const found = ioas(context, ioas_id)
      const count = writeRanges(found, caller, allowed_iovas, room)
      const out = { num_iovas: count, out_iova_alignment: BigInt(found.table.iovas.alignment) }
      if (count > room) throw new UapiError('EMSGSIZE', 'IOMMU_IOAS_IOVA_RANGES', { count }, out)
      return { ret: 0, out }
    },
  }),
  row({
    call: uapi.IOMMU_IOAS_MAP,
    // A result that cannot be written back leaves the mapping: there is no abort.
    run(context, input, caller) {
      const { flags, iova, length, user_va, __reserved } = input
      mustBeZero('IOMMU_IOAS_MAP', __reserved)
      checkMapFlags('IOMMU_IOAS_MAP', flags, length, iova)
      const found = ioas(context, input.ioas_id)
      return { ret: 0, out: { iova: mapUser(context, found, caller, { flags, iova, length, user_va }) } }
    },
  }),
  row({
    call: uapi.IOMMU_IOAS_UNMAP,
    run(context, { ioas_id, iova, length }) {
      return { ret: 0, out: { length: unmap(ioas(context, ioas_id), iova, length) } }
    },
  }),
  row({
    call: uapi.IOMMU_OPTION,
    run(context, input, caller) {
      const { __reserved } = input
      mustBeZero('IOMMU_OPTION', __reserved)
      return { ret: 0, out: { val64: option(context, caller, input) } }
    },
  }),
  row({ call: uapi.IOMMU_VFIO_IOAS, run: vfioIoas }),
  ...hwptRows,
  row({
    call: uapi.IOMMU_GET_HW_INFO,
    run: (context, input, caller) => ({ ret: 0, out: hwInfo(context, caller, input) }),
  }),
  ...viommuRows,
  row({
    call: uapi.IOMMU_IOAS_MAP_FILE,
    run(context, input, caller) {
      const { flags, iova, length, fd, start } = input
      checkMapFlags('IOMMU_IOAS_MAP_FILE', flags, length, iova)
      const found = ioas(context, input.ioas_id)
      return { ret: 0, out: { iova: mapFile(context, found, caller, { flags, iova, length, fd, start }) } }
    },
  }),
  row({
    call: uapi.IOMMU_IOAS_CHANGE_PROCESS,
    run(context, { __reserved }, caller) {
      mustBeZero('IOMMU_IOAS_CHANGE_PROCESS', __reserved)
      changeProcess(context, caller)
      return { ret: 0 }
    },
  }),
]

/** MOCK_FLAGS_ACCESS_SYZ of drivers/iommu/iommufd/iommufd_test.h. */
const FUZZED = 0x1_0000

/**
 * On a test kernel a fuzzer, which knows no iova, can name the source by number of area and offset into it: the low and the
 * high half of `src_iova` (drivers/iommu/iommufd/selftest.c iommufd_test_syz_conv_iova_id).
 */
function fuzzedSource(
  { objects }: IommufdContext,
  { flags, src_iova, src_ioas_id }: uapi.IommuIoasCopy,
): { readonly flags: number; readonly src_iova: bigint } {
  if ((flags & FUZZED) === 0) return { flags, src_iova }
  const source = objects.peek(src_ioas_id)
  const known = flags & ~FUZZED
  if (!(source instanceof Ioas)) return { flags: known, src_iova }
  const area = source.table.nthArea(Number(src_iova & 0xffff_ffffn))
  return { flags: known, src_iova: area === undefined ? 0n : BigInt.asUintN(64, area + (src_iova >> 32n)) }
}

/** Which IOAS container calls act on. drivers/iommu/iommufd/vfio_compat.c iommufd_vfio_ioas. */
function vfioIoas(context: IommufdContext, input: uapi.IommuVfioIoas): ReturnType<Row<typeof input>['run']> {
  const call = 'IOMMU_VFIO_IOAS'
  const { __reserved, op } = input
  mustBeZero(call, __reserved)
  switch (op) {
    case uapi.VFIO_IOAS_OP.GET:
      return { ret: 0, out: { ioas_id: compatIoas(context, call).id } }
    case uapi.VFIO_IOAS_OP.SET:
      context.compatIoas = ioas(context, input.ioas_id)
      return { ret: 0 }
    case uapi.VFIO_IOAS_OP.CLEAR:
      context.compatIoas = undefined
      return { ret: 0 }
    default:
      throw new UapiError('EOPNOTSUPP', call, { op })
  }
}

/** Calls of the file's own type with an `nr` of this range have their size read before their number is known to be wrong. */
export const iommufdTable: IoctlTable = {
  file: 'iommufd',
  convention: { ...IOMMUFD_CONVENTION, sizedFirst: uapi.IOMMUFD_NR },
  rows,
}
