/** Kernel memory as a dma-buf, which a test takes back. drivers/iommu/iommufd/selftest.c struct iommufd_test_dma_buf. */
import {
  type Caller,
  type DmaBuf,
  fileAt,
  type Hpa,
  installFile,
  isDmaBuf,
  type PageAllocator,
  UapiError,
} from '@ioasis/core'
import * as uapi from '../spec/test-command.ts'
import { type AnyTestRow, testRow } from './test-row.ts'

/** Largest one, in pages of the CPU. */
const MOST_PAGES = 512
const O_ACCMODE = 3
const O_WRONLY = 1
const O_RDWR = 2
const O_CLOEXEC = 0o2000000

/** The file. */
class TestDmaBuf implements DmaBuf {
  readonly dmaBuf: DmaBuf['dmaBuf']
  readonly #pages: PageAllocator
  readonly #hpa: Hpa
  readonly #bytes: number
  readonly #listeners = new Set<(revoked: boolean) => void>()
  #revoked = false

  /** @throws UapiError ENOMEM */
  constructor(pages: PageAllocator, bytes: number) {
    this.#pages = pages
    this.#bytes = bytes
    this.#hpa = pages.alloc(bytes, 'test dma-buf')
    const ranges = [{ hpa: this.#hpa, bytes }]
    const isRevoked = (): boolean => this.#revoked
    this.dmaBuf = {
      bytes: BigInt(bytes),
      ranges,
      get revoked() {
        return isRevoked()
      },
      onRevoke: (listener) => {
        this.#listeners.add(listener)
        return () => void this.#listeners.delete(listener)
      },
    }
  }
  /** Whatever is said, mappings are invalidated: one that was made before does not come back. */
  revoke(revoked: boolean): void {
    this.#revoked = revoked
    for (const listener of this.#listeners) listener(true)
  }
  release(): void {
    this.#pages.free(this.#hpa, this.#bytes)
  }
}

function get(pages: PageAllocator, caller: Caller, length: number, flags: number): number {
  const { pageBytes } = caller.process.addressSpace
  const bytes = Math.ceil(length / pageBytes) * pageBytes
  if (bytes === 0 || bytes > MOST_PAGES * pageBytes)
    throw new UapiError('EINVAL', 'IOMMU_TEST_OP_DMABUF_GET', { length })
  const access = flags & O_ACCMODE
  const mode = { read: access !== O_WRONLY, write: access === O_WRONLY || access === O_RDWR }
  const cloexec = (flags & O_CLOEXEC) !== 0
  return installFile(caller, new TestDmaBuf(pages, bytes), { cloexec, mode, name: 'anon_inode:dmabuf' })
}

/** The rows. */
export const dmaBufRows = (pages: PageAllocator): readonly AnyTestRow[] => [
  testRow({
    call: uapi.IOMMU_TEST_OP_DMABUF_GET,
    run: (_objects, { length, open_flags }, caller) => get(pages, caller, length, open_flags),
  }),
  testRow({
    call: uapi.IOMMU_TEST_OP_DMABUF_REVOKE,
    run(_objects, { dmabuf_fd, revoked }, caller) {
      const call = 'IOMMU_TEST_OP_DMABUF_REVOKE'
      const file = fileAt(caller, dmabuf_fd)
      if (!isDmaBuf(file)) throw new UapiError('EINVAL', call, { dmabuf_fd })
      if (!(file instanceof TestDmaBuf)) throw new UapiError('EOPNOTSUPP', call, { dmabuf_fd })
      file.revoke(revoked !== 0)
    },
  }),
]
