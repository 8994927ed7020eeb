/** In-kernel accesses: a descriptor stands for each. drivers/iommu/iommufd/selftest.c struct selftest_access. */
import {
  type Caller,
  FdTable,
  fileAt,
  type FileOps,
  installFile,
  type Iova,
  type KernelAccess,
  type ObjectContext,
  readUser,
  UapiError,
  writeUser,
} from '@ioasis/core'
import * as uapi from '../spec/test-command.ts'
import { type AnyTestRow, testRow } from './test-row.ts'
import { userPage } from './user-page.ts'

const { ACCESS_FLAG, CREATE_ACCESS_FLAG, RW_FLAG } = uapi
/** Nobody asks for more at a time. */
const MOST_BYTES = 16n << 20n

/** What ACCESS_PAGES pinned. */
interface Item {
  readonly id: number
  readonly iova: Iova
  readonly bytes: bigint
}

/** The file of an access. It has nothing but an end. */
class AccessFile implements FileOps {
  readonly needsPins: boolean
  #access: KernelAccess | undefined
  #items: Item[] = []
  #nextId = 0

  constructor(needsPins: boolean) {
    this.needsPins = needsPins
  }
  get access(): KernelAccess {
    if (!this.#access) throw new Error('iommu-mock: an access is used that was not made')
    return this.#access
  }
  /** @throws UapiError ENOENT, EADDRINUSE */
  attach(objects: ObjectContext, ioas: number): void {
    const access = objects.createAccess({
      name: 'selftest access',
      needsPins: this.needsPins,
      unmapped: (first, bytes) => this.#unmapped(first, bytes),
    })
    try {
      access.attach(ioas)
    } catch (error) {
      access.unbind()
      throw error
    }
    this.#access = access
  }
  add(iova: Iova, bytes: bigint): number {
    const id = this.#nextId++
    this.#items.push({ id, iova, bytes })
    return id
  }
  /** @throws UapiError ENOENT */
  remove(id: number): void {
    const item = this.#items.find((one) => one.id === id)
    if (!item) throw new UapiError('ENOENT', 'IOMMU_TEST_OP_DESTROY_ACCESS_PAGES', { id })
    this.#items = this.#items.filter((one) => one !== item)
    this.access.unpin(item.iova, item.bytes)
  }
  release(): void {
    if (!this.#access) return
    this.#unmapped(0n, 1n << 64n)
    this.#access.unbind()
  }

  #unmapped(first: Iova, bytes: bigint): void {
    const reaches = ({ iova, bytes: size }: Item): boolean => first < iova + size && iova < first + bytes
    const gone = this.#items.filter(reaches)
    this.#items = this.#items.filter((item) => !reaches(item))
    for (const { iova, bytes: size } of gone) this.access.unpin(iova, size)
  }
}

/** @throws UapiError EBADFD for a descriptor that stands for no access */
function accessAt(caller: Caller, fd: number): AccessFile {
  let file: FileOps | undefined
  try {
    file = fileAt(caller, fd | 0)
  } catch (error) {
    if (!(error instanceof UapiError)) throw error
  }
  if (!(file instanceof AccessFile)) throw new UapiError('EBADFD', 'iommufd_access_get', { fd })
  return file
}

/** SYZ: the low word of the iova is the number of an area, the high word an offset in it; where there is none: 0. */
function iovaOf({ access }: AccessFile, iova: Iova, flags: number): Iova {
  if ((flags & ACCESS_FLAG.SYZ) === 0) return iova
  const first = access.nthArea(Number(iova & 0xffff_ffffn))
  return first === undefined ? 0n : BigInt.asUintN(64, first + (iova >> 32n))
}

function create(objects: ObjectContext, caller: Caller, ioas: number, flags: number): number {
  if ((flags & ~CREATE_ACCESS_FLAG.NEEDS_PIN_PAGES) !== 0) {
    throw new UapiError('EOPNOTSUPP', 'IOMMU_TEST_OP_CREATE_ACCESS', { flags })
  }
  const file = new AccessFile((flags & CREATE_ACCESS_FLAG.NEEDS_PIN_PAGES) !== 0)
  const fd = descriptorFor(caller, file)
  try {
    file.attach(objects, ioas)
  } catch (error) {
    FdTable.of(caller.process).close(fd, caller)
    throw error
  }
  return fd
}
/** @throws UapiError ENOMEM when the caller may have no more descriptors */
function descriptorFor(caller: Caller, file: FileOps): number {
  try {
    return installFile(caller, file, { cloexec: true, name: 'anon_inode:[iommufd_test_staccess]' })
  } catch (error) {
    if (error instanceof UapiError) throw new UapiError('ENOMEM', 'IOMMU_TEST_OP_CREATE_ACCESS')
    throw error
  }
}

type PagesInput = uapi.TestRange & { readonly flags: number }

/** Pins a range and keeps it; with `uptr`, the pages must be those of the user's address. */
function pinPages(input: PagesInput, caller: Caller): number {
  const call = 'IOMMU_TEST_OP_ACCESS_PAGES'
  const { id, length, flags, uptr } = input
  if (length > MOST_BYTES) throw new UapiError('ENOMEM', call, { length })
  if ((flags & ~(ACCESS_FLAG.WRITE | ACCESS_FLAG.SYZ)) !== 0) throw new UapiError('EOPNOTSUPP', call, { flags })
  const file = accessAt(caller, id)
  if (!file.needsPins) throw new UapiError('EOPNOTSUPP', call, { id })
  const iova = iovaOf(file, input.iova, flags)
  const runs = file.access.pin(iova, length, { write: (flags & ACCESS_FLAG.WRITE) !== 0 })
  try {
    if (uptr !== 0n) checkPages(caller, uptr, iova, runs)
  } catch (error) {
    file.access.unpin(iova, length)
    throw error
  }
  return file.add(iova, length)
}

/** @throws UapiError EBADE when the user's address shows another page; EFAULT */
function checkPages(
  caller: Caller,
  uptr: bigint,
  iova: Iova,
  runs: readonly { readonly hpa: number; readonly bytes: number }[],
): void {
  const call = 'IOMMU_TEST_OP_ACCESS_PAGES'
  const { pageBytes } = caller.process.addressSpace
  let uva = uptr - (iova & BigInt(pageBytes - 1))
  for (const { hpa, bytes } of runs) {
    const first = hpa - (hpa % pageBytes)
    for (let page = first; page < hpa + bytes; page += pageBytes, uva += BigInt(pageBytes)) {
      if (userPage(caller, uva, call).hpa !== page) throw new UapiError('EBADE', call, { uva })
    }
  }
}

function readOrWrite(input: PagesInput, caller: Caller): void {
  const call = 'IOMMU_TEST_OP_ACCESS_RW'
  const { id, length, flags, uptr } = input
  if (length > MOST_BYTES) throw new UapiError('ENOMEM', call, { length })
  if ((flags & ~(RW_FLAG.WRITE | RW_FLAG.SLOW_PATH | ACCESS_FLAG.SYZ)) !== 0) {
    throw new UapiError('EOPNOTSUPP', call, { flags })
  }
  const file = accessAt(caller, id)
  const write = (flags & RW_FLAG.WRITE) !== 0
  const bytes = write ? readUser(caller, uptr, Number(length), call) : new Uint8Array(Number(length))
  file.access.copy(caller, iovaOf(file, input.iova, flags), bytes, { write })
  if (!write) writeUser(caller, uptr, bytes, call)
}

/** The rows. */
export const accessRows: readonly AnyTestRow[] = [
  testRow({
    call: uapi.IOMMU_TEST_OP_CREATE_ACCESS,
    run: (objects, { id, flags }, caller) => ({ out_access_fd: create(objects, caller, id, flags) }),
    abort: (_objects, { out_access_fd }, caller) => FdTable.of(caller.process).close(out_access_fd, caller),
  }),
  testRow({
    call: uapi.IOMMU_TEST_OP_ACCESS_REPLACE_IOAS,
    run: (_objects, { id, ioas_id }, caller) => accessAt(caller, id).access.replace(ioas_id),
  }),
  testRow({
    call: uapi.IOMMU_TEST_OP_ACCESS_PAGES,
    run: (_objects, input, caller) => ({ out_access_pages_id: pinPages(input, caller) }),
    abort: (_objects, { id, out_access_pages_id }, caller) => accessAt(caller, id).remove(out_access_pages_id),
  }),
  testRow({
    call: uapi.IOMMU_TEST_OP_ACCESS_RW,
    run: (_objects, input, caller) => readOrWrite(input, caller),
  }),
  testRow({
    call: uapi.IOMMU_TEST_OP_DESTROY_ACCESS_PAGES,
    run: (_objects, { id, access_pages_id }, caller) => accessAt(caller, id).remove(access_pages_id),
  }),
]
