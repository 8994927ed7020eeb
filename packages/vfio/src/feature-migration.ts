/**
 * Features of a device that can be moved to another host. drivers/vfio/vfio_main.c vfio_ioctl_device_feature_migration,
 * vfio_ioctl_device_feature_mig_device_state, vfio_ioctl_device_feature_migration_data_size.
 */
import {
  type Caller,
  FdTable,
  installFile,
  type MigrationData,
  type MigrationState,
  readUser,
  UapiError,
  type Uva,
  type VfioFeature,
  type VfioMigration,
  writeUser,
} from '@ioasis/core'
import {
  VFIO_DEVICE_STATE,
  VFIO_FEATURE,
  VFIO_MIGRATION,
  vfioFeatureMigration,
  vfioFeatureMigState,
  vfioMigDataSize,
} from '@ioasis/uapi'

const NO_FILE = -1

/** @returns undefined for a feature that is none of these */
export function migrationFeature(migration: VfioMigration, number: number): VfioFeature | undefined {
  switch (number) {
    case VFIO_FEATURE.MIGRATION:
      return { minimum: vfioFeatureMigration.size, get: (caller, { uva }) => writeAbilities(migration, caller, uva) }
    case VFIO_FEATURE.MIG_DEVICE_STATE:
      return {
        minimum: vfioFeatureMigState.size,
        get: (caller, { uva }) => getState(migration, caller, uva),
        set: (caller, { uva }) => setState(migration, caller, uva),
      }
    case VFIO_FEATURE.MIG_DATA_SIZE:
      return { minimum: vfioMigDataSize.size, get: (caller, { uva }) => writeSize(migration, caller, uva) }
    case VFIO_FEATURE.MIG_PRECOPY_INFOv2:
      return migration.preCopy === true ? precopyInfo(migration) : undefined
  }
  return undefined
}

function precopyInfo(migration: VfioMigration): VfioFeature {
  const set = (): number => {
    migration.usePrecopyInfo2?.()
    return 0
  }
  return { minimum: 0, set }
}

function writeAbilities({ p2p, preCopy }: VfioMigration, caller: Caller, uva: Uva): number {
  const { STOP_COPY, P2P, PRE_COPY } = VFIO_MIGRATION
  const flags = STOP_COPY | (p2p === true ? P2P : 0n) | (preCopy === true ? PRE_COPY : 0n)
  writeUser(caller, uva, vfioFeatureMigration.make({ flags }), 'VFIO_DEVICE_FEATURE_MIGRATION')
  return 0
}
function writeSize(migration: VfioMigration, caller: Caller, uva: Uva): number {
  const bytes = vfioMigDataSize.make({ stop_copy_length: migration.dataSize() })
  writeUser(caller, uva, bytes, 'VFIO_DEVICE_FEATURE_MIG_DATA_SIZE')
  return 0
}

const WHAT = 'VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE'
const read = (caller: Caller, uva: Uva): { readonly device_state: number } =>
  vfioFeatureMigState.decode(readUser(caller, uva, vfioFeatureMigState.size, WHAT))
function write(caller: Caller, uva: Uva, device_state: number, data_fd: number): void {
  writeUser(caller, uva, vfioFeatureMigState.make({ device_state, data_fd }), WHAT)
}

function getState(migration: VfioMigration, caller: Caller, uva: Uva): number {
  read(caller, uva)
  write(caller, uva, VFIO_DEVICE_STATE[migration.state], NO_FILE)
  return 0
}

/** Also a refused call writes back that there is no file. */
function setState(migration: VfioMigration, caller: Caller, uva: Uva): number {
  const { device_state } = read(caller, uva)
  let data: MigrationData | undefined
  try {
    data = migration.set(stateOf(device_state))
  } catch (error) {
    if (error instanceof UapiError) write(caller, uva, device_state, NO_FILE)
    throw error
  }
  if (data) handOver(data, caller, uva, device_state)
  else write(caller, uva, device_state, NO_FILE)
  return 0
}

function stateOf(number: number): MigrationState {
  for (const [name, value] of Object.entries(VFIO_DEVICE_STATE)) if (value === number) return name as MigrationState
  throw new UapiError('EINVAL', 'vfio_mig_get_next_state', { state: number })
}

/** The file gets a descriptor only when its number could be told. vfio_ioct_mig_return_fd */
function handOver({ file, name, mode }: MigrationData, caller: Caller, uva: Uva, device_state: number): void {
  const fd = installFile(caller, file, { cloexec: true, name, ...(mode && { mode }) })
  try {
    write(caller, uva, device_state, fd)
  } catch (error) {
    FdTable.of(caller.process).close(fd, caller)
    throw error
  }
}
