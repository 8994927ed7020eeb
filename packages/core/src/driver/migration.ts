/**
 * States of a device that is being moved to another host, and the ways between them. A driver brings the arcs; this file
 * finds the next one on the way to the state that was asked for. drivers/vfio/vfio_main.c vfio_mig_get_next_state,
 * include/uapi/linux/vfio.h "enum vfio_device_mig_state".
 */
import { UapiError } from '../errno.ts'
import type { FileOps } from '../file/file-ops.ts'

/**
 * `RUNNING_P2P` answers others and starts nothing; `PRE_COPY` runs while its state is already being read; `ERROR` is left by
 * a reset alone.
 */
export type MigrationState =
  | 'ERROR'
  | 'STOP'
  | 'RUNNING'
  | 'STOP_COPY'
  | 'RESUMING'
  | 'RUNNING_P2P'
  | 'PRE_COPY'
  | 'PRE_COPY_P2P'

/** What a driver can beyond STOP_COPY, which each one can that migrates at all (`VFIO_MIGRATION_*`). */
export interface MigrationAbilities {
  readonly p2p?: boolean
  readonly preCopy?: boolean
}

/** The file through which a device's state is read (STOP_COPY, PRE_COPY) or written (RESUMING). */
export interface MigrationData {
  readonly file: FileOps
  /** As /proc/PID/fd shows it: `anon_inode:mtty_mig`. */
  readonly name: string
  /** Default: both. A file for saving is read only, one for resuming written only. */
  readonly mode?: { readonly read: boolean; readonly write: boolean }
}

/** A device that can be moved (`struct vfio_migration_ops`). */
export interface VfioMigration extends MigrationAbilities {
  readonly state: MigrationState
  /**
   * Goes to another state, one arc of `nextMigrationState` after the other. Being there already is fine.
   * @returns the data file the last arc opened
   * @throws UapiError EINVAL for a state that cannot be reached; the state is the last one that was
   */
  set(state: MigrationState): MigrationData | undefined
  /** Bytes that STOP_COPY would give, as far as one can say. */
  dataSize(): bigint
  /** The user of `VFIO_MIG_GET_PRECOPY_INFO` understands its second version. Only with `preCopy`. */
  usePrecopyInfo2?(): void
}

/** Remembers which iovas a device writes (`struct vfio_log_ops`). */
export interface VfioDmaLogging {
  /**
   * @param ranges without overlap, by address; `last` inclusive
   * @param pageSize what the user wants to tell apart
   * @returns the page size it will be
   * @throws UapiError EINVAL, EBUSY when it logs already, ENOMEM
   */
  start(ranges: readonly { readonly first: bigint; readonly last: bigint }[], pageSize: bigint): bigint
  /** @throws UapiError as the driver answers when it does not log */
  stop(): void
  /**
   * Tells what was written since, and forgets it.
   * @param dirty called for each range that was written; throws UapiError EFAULT when the user's bitmap cannot be
   */
  report(first: bigint, bytes: bigint, dirty: (first: bigint, bytes: bigint) => void): void
}

const ROWS: Readonly<Record<MigrationState, Readonly<Partial<Record<MigrationState, MigrationState>>>>> = {
  STOP: { RUNNING: 'RUNNING_P2P', PRE_COPY: 'RUNNING_P2P', PRE_COPY_P2P: 'RUNNING_P2P' },
  RUNNING: {
    STOP: 'RUNNING_P2P',
    PRE_COPY_P2P: 'RUNNING_P2P',
    STOP_COPY: 'RUNNING_P2P',
    RESUMING: 'RUNNING_P2P',
  },
  PRE_COPY: { STOP: 'RUNNING', STOP_COPY: 'PRE_COPY_P2P', RESUMING: 'RUNNING', RUNNING_P2P: 'RUNNING' },
  PRE_COPY_P2P: { STOP: 'RUNNING_P2P', RUNNING: 'RUNNING_P2P', RESUMING: 'RUNNING_P2P' },
  STOP_COPY: {
    RUNNING: 'STOP',
    PRE_COPY: 'ERROR',
    PRE_COPY_P2P: 'ERROR',
    RESUMING: 'STOP',
    RUNNING_P2P: 'STOP',
  },
  RESUMING: {
    RUNNING: 'STOP',
    PRE_COPY: 'STOP',
    PRE_COPY_P2P: 'STOP',
    STOP_COPY: 'STOP',
    RUNNING_P2P: 'STOP',
  },
  RUNNING_P2P: { PRE_COPY: 'RUNNING', STOP_COPY: 'STOP', RESUMING: 'STOP' },
  ERROR: {
    STOP: 'ERROR',
    RUNNING: 'ERROR',
    PRE_COPY: 'ERROR',
    PRE_COPY_P2P: 'ERROR',
    STOP_COPY: 'ERROR',
    RESUMING: 'ERROR',
    RUNNING_P2P: 'ERROR',
  },
}

/** Whether a driver with these abilities has the state. */
export const hasMigrationState = ({ p2p, preCopy }: MigrationAbilities, state: MigrationState): boolean =>
  (p2p === true || !state.endsWith('_P2P')) && (preCopy === true || !state.startsWith('PRE_COPY'))

/**
 * The next state on the way. States that the driver does not have are stepped over.
 * @param from one that the driver has
 * @throws UapiError EINVAL for a state that it does not have, or that cannot be reached from here
 */
export function nextMigrationState(
  abilities: MigrationAbilities,
  from: MigrationState,
  to: MigrationState,
): MigrationState {
  const refuse = (): UapiError => new UapiError('EINVAL', 'vfio_mig_get_next_state', { from, to })
  if (!hasMigrationState(abilities, from) || !hasMigrationState(abilities, to)) throw refuse()
  let next = arc(from, to)
  while (next !== 'ERROR' && !hasMigrationState(abilities, next)) next = arc(next, to)
  if (next === 'ERROR') throw refuse()
  return next
}

/** What the rows leave out is one step away. */
const arc = (from: MigrationState, to: MigrationState): MigrationState => ROWS[from][to] ?? to
