/** IOMMU_OPTION. drivers/iommu/iommufd/ioas.c iommufd_option_rlimit_mode, iommufd_ioas_option. */
import { type Caller, UapiError } from '@ioasis/core'
import type { IommufdContext } from './context.ts'
import { Ioas } from './ioas.ts'
import { OPTION, OPTION_OP } from './uapi.ts'

/** What is asked. */
export interface OptionRequest {
  readonly option_id: number
  readonly op: number
  readonly object_id: number
  readonly val64: bigint
}

/** @returns the value, as it is now @throws UapiError EOPNOTSUPP, EPERM, EBUSY, EINVAL, ENOENT, EADDRINUSE */
export function option(context: IommufdContext, caller: Caller, request: OptionRequest): bigint {
  switch (request.option_id) {
    case OPTION.RLIMIT_MODE:
      return rlimitMode(context, caller, request)
    case OPTION.HUGE_PAGES:
      return hugePages(context.objects.find(request.object_id, Ioas), request)
    default:
      throw refusal('EOPNOTSUPP', request)
  }
}

/** 0: pins count for the user, 1: for the process, as VFIO has it. Only while the context is empty. */
function rlimitMode(context: IommufdContext, caller: Caller, request: OptionRequest): bigint {
  if (request.object_id !== 0) throw refusal('EOPNOTSUPP', request)
  if (request.op === OPTION_OP.GET) return context.accountMode === 'mm' ? 1n : 0n
  if (request.op !== OPTION_OP.SET) throw refusal('EOPNOTSUPP', request)
  if (!caller.process.can('CAP_SYS_RESOURCE')) throw refusal('EPERM', request)
  if (context.objects.size > 0) throw refusal('EBUSY', request)
  if (request.val64 > 1n) throw refusal('EINVAL', request)
  context.accountMode = request.val64 === 1n ? 'mm' : 'user'
  return request.val64
}

/** 1: domains may use large pages. 0 only while no domain has any. */
function hugePages({ table }: Ioas, request: OptionRequest): bigint {
  if (request.op === OPTION_OP.GET) return table.largePages ? 1n : 0n
  if (request.op !== OPTION_OP.SET) throw refusal('EOPNOTSUPP', request)
  if (request.val64 > 1n) throw refusal('EINVAL', request)
  table.setLargePages(request.val64 === 1n)
  return request.val64
}

const refusal = (
  errno: 'EOPNOTSUPP' | 'EPERM' | 'EBUSY' | 'EINVAL',
  { option_id, op, object_id, val64 }: OptionRequest,
): UapiError => new UapiError(errno, 'IOMMU_OPTION', { option_id, op, object_id, val64 })
