/** VFIO_EEH_PE_OP: error recovery of a container's endpoints. drivers/vfio/vfio_iommu_spapr_tce.c vfio_spapr_ioctl_eeh_pe_op. */
import { type Caller, ERRNO, type Errno, type ErrorRecovery, readUser, UapiError } from '@ioasis/core'
import { VFIO_EEH_PE, type VfioEehPeOp, vfioEehPeOp } from '@ioasis/uapi'

/** arch/powerpc/include/asm/eeh.h EEH_RESET_*, by operation. */
const RESETS: Readonly<Record<number, number>> = {
  [VFIO_EEH_PE.RESET_DEACTIVATE]: 0,
  [VFIO_EEH_PE.RESET_HOT]: 1,
  [VFIO_EEH_PE.RESET_FUNDAMENTAL]: 3,
}
const NAMES: ReadonlyMap<number, Errno> = new Map(Object.entries(ERRNO).map(([name, n]) => [n, name as Errno]))

/**
 * Runs an operation on each endpoint in turn; the first answer that is not 0 ends it, a state too.
 * @param arg where the struct lies: its last part is read for INJECT_ERR alone
 * @throws UapiError ENODEV for a group that is no endpoint, EINVAL, EFAULT, what the platform answers
 */
export function recoverAll(
  endpoints: readonly (ErrorRecovery | undefined)[],
  input: VfioEehPeOp,
  caller: Caller,
  arg: bigint,
): number {
  for (const endpoint of endpoints) {
    if (!endpoint) throw new UapiError('ENODEV', 'VFIO_EEH_PE_OP')
    if (input.flags !== 0) throw new UapiError('EINVAL', 'VFIO_EEH_PE_OP', { flags: input.flags })
    const answer = recover(endpoint, input, caller, arg)
    if (answer < 0) throw new UapiError(NAMES.get(-answer) ?? 'EIO', 'VFIO_EEH_PE_OP', { op: input.op })
    if (answer > 0) return answer
  }
  return 0
}

function recover(endpoint: ErrorRecovery, { argsz, op }: VfioEehPeOp, caller: Caller, arg: bigint): number {
  switch (op) {
    case VFIO_EEH_PE.DISABLE:
    case VFIO_EEH_PE.ENABLE:
    case VFIO_EEH_PE.UNFREEZE_IO:
    case VFIO_EEH_PE.UNFREEZE_DMA:
      // The numbers are those of EEH_OPT_*.
      return endpoint.setOption(op)
    case VFIO_EEH_PE.GET_STATE:
      return endpoint.state()
    case VFIO_EEH_PE.RESET_DEACTIVATE:
    case VFIO_EEH_PE.RESET_HOT:
    case VFIO_EEH_PE.RESET_FUNDAMENTAL:
      return endpoint.reset(RESETS[op] as number)
    case VFIO_EEH_PE.CONFIGURE:
      return endpoint.configure()
    case VFIO_EEH_PE.INJECT_ERR: {
      if (argsz < vfioEehPeOp.size) throw new UapiError('EINVAL', 'VFIO_EEH_PE_OP', { argsz })
      const { err } = vfioEehPeOp.decode(readUser(caller, arg, vfioEehPeOp.size, 'VFIO_EEH_PE_OP'))
      return endpoint.inject(err.type, err.func, err.addr, err.mask)
    }
    default:
      throw new UapiError('EINVAL', 'VFIO_EEH_PE_OP', { op })
  }
}
