/** Emulated devices: they reach the memory of an IOAS without an IOMMU. drivers/iommu/iommufd/device.c iommufd_access_*. */
import {
  type AccessUser,
  type Caller,
  type CopyHow,
  type Interval,
  type Iova,
  type KernelAccess,
  PageRunList,
  UapiError,
} from '@ioasis/core'
import type { Area } from './area.ts'
import type { IommufdContext } from './context.ts'
import type { HwptIoas } from './hwpt-paging.ts'
import { Ioas } from './ioas.ts'
import type { IoPageTableUser } from './io-pagetable.ts'
import type { IommufdObject } from './object.ts'
import { copyPages } from './pages-copy.ts'
import { MAP_FLAG, U64_MAX } from './uapi.ts'

interface Pin {
  readonly first: Iova
  readonly last: Iova
}

/** An access of iommufd's own: nobody can be asked to let go, so that what it has pinned cannot be unmapped. */
const INTERNAL: AccessUser = { name: 'iommufd', needsPins: true, unmapped: () => {} }

/** One emulated device in a context. */
export class Access implements IommufdObject, KernelAccess, IoPageTableUser {
  readonly kind = 'access'
  id = 0
  /** The driver that made it, until `unbind`. */
  users = 1
  readonly alignment: number
  readonly #context: IommufdContext
  readonly #user: AccessUser
  readonly #internal: boolean
  #ioas: HwptIoas | undefined
  readonly #pins: Pin[] = []

  /** Put into the context's table by who makes it. @param user absent: one of iommufd's own, which does not keep the context */
  constructor(context: IommufdContext, user?: AccessUser) {
    this.#context = context
    this.#user = user ?? INTERNAL
    this.#internal = user === undefined
    this.alignment = this.#user.needsPins ? context.parts.pageBytes : 1
    if (user) context.hold()
  }

  /**
   * Attaches, or moves to another IOAS: its pins in the old one must be gone when `unmapped` for everything returns.
   * @param target id of an IOAS
   * @returns that id
   * @throws UapiError ENOENT; EADDRINUSE when an area is less aligned than it needs
   */
  attach(target: number): number {
    const ioas = this.#context.objects.find(target, Ioas)
    this.#change(ioas)
    return ioas.id
  }
  /** The same, only for one that is attached (iommufd_access_replace). @throws UapiError ENOENT when it is not; as `attach` */
  replace(target: number): void {
    if (!this.#ioas) throw new UapiError('ENOENT', 'iommufd access', { target })
    this.attach(target)
  }
  /** @throws UapiError as `attach` */
  attachTo(ioas: HwptIoas): void {
    this.#change(ioas)
  }
  /** Harmless when it is not attached. */
  detach(): void {
    this.#change(undefined)
  }
  unbind(): void {
    this.#change(undefined)
    this.users--
    this.#context.objects.destroyIfUnused(this)
  }
  destroy(): void {
    if (!this.#internal) this.#context.release()
  }
  nthArea(n: number): Iova | undefined {
    return this.#ioas?.table.nthArea(n)
  }
  unmapped(first: Iova, bytes: bigint): void {
    this.#user.unmapped(first, bytes)
  }

  /** @returns bytes copied: all @throws UapiError EINVAL, EOVERFLOW, ENOENT, EPERM, EFAULT */
  copy(caller: Caller, iova: Iova, bytes: Uint8Array, how: CopyHow): number {
    let done = 0
    this.#each(iova, BigInt(bytes.length), { write: how.write, pages: false }, (area, from, to) => {
      const { page, offset } = area.value.from(from - area.first)
      const n = Number(to - from) + 1
      copyPages(caller, area.value.pages, { page, offset }, bytes.subarray(done, done + n), how)
      done += n
    })
    return done
  }
  /**
   * @param iova a multiple of the page size
   * @returns host memory, in order
   * @throws UapiError EINVAL, EOVERFLOW, ENOENT, EPERM, EFAULT, ENOMEM; nothing is pinned then
   */
  pin(
    iova: Iova,
    bytes: bigint,
    how: { readonly write: boolean },
  ): readonly { readonly hpa: number; readonly bytes: number }[] {
    if (!this.#user.needsPins) throw new UapiError('EINVAL', 'iommufd access', { iova })
    const runs = new PageRunList()
    let last = iova - 1n
    try {
      this.#each(iova, bytes, { write: how.write, pages: true }, (area, from, to) => {
        if (how.write && !area.value.pages.writable) throw new UapiError('EPERM', 'iommufd access', { iova: from })
        if (area.value.pages.kind === 'dma-buf') throw new UapiError('EINVAL', 'iommufd access', { iova: from })
        const { page, offset } = area.value.from(from - area.first)
        area.value.pages.cover(page, area.value.pageAt(Number(to - area.first)))
        this.#count(area.value, 1)
        last = to
        area.value.pages.collect(page, offset, Number(to - from) + 1, runs)
      })
    } catch (error) {
      if (last >= iova) this.#uncover(iova, last)
      throw error
    }
    this.#pins.push({ first: iova, last })
    return Array.from({ length: runs.count }, (_, i) => ({
      hpa: runs.hpa[i] as number,
      bytes: runs.bytes[i] as number,
    }))
  }
  /** @throws Error when exactly this range is not pinned */
  unpin(iova: Iova, bytes: bigint): void {
    const last = iova + bytes - 1n
    const at = this.#pins.findIndex((pin) => pin.first === iova && pin.last === last)
    if (at < 0) throw new Error(`iommufd: ${this.#user.name} unpins what it did not pin`)
    this.#pins.splice(at, 1)
    this.#uncover(iova, last)
  }
  /** Where it is attached. */
  get ioas(): HwptIoas | undefined {
    return this.#ioas
  }
  /** Pinned ranges: an audit counter. */
  get pinned(): number {
    return this.#pins.length
  }

  #change(ioas: HwptIoas | undefined): void {
    const old = this.#ioas
    if (old === ioas) return
    if (ioas) {
      ioas.table.addUser(this)
      ioas.users++
    }
    if (old) {
      this.#user.unmapped(0n, U64_MAX)
      if (this.#pins.length > 0) throw new Error(`iommufd: ${this.#user.name} keeps pins of an IOAS it leaves`)
      old.table.removeUser(this)
      old.users--
    }
    this.#ioas = ioas
  }
  /** Visits the areas that cover a range, without a hole. @param how `pages`: whole ones @throws UapiError EINVAL, EOVERFLOW, ENOENT, EPERM */
  #each(
    iova: Iova,
    bytes: bigint,
    how: { readonly write: boolean; readonly pages: boolean },
    visit: (area: Interval<Area>, from: Iova, to: Iova) => void,
  ): void {
    const what = 'iommufd access'
    const last = iova + bytes - 1n
    if (bytes === 0n) throw new UapiError('EINVAL', what, { iova })
    if (last > U64_MAX) throw new UapiError('EOVERFLOW', what, { iova, bytes })
    if (!this.#ioas) throw new UapiError('ENOENT', what, { iova })
    let next = iova
    for (const area of this.#ioas.table.areas.within(iova, last)) {
      if (area.first > next) break
      const to = area.last < last ? area.last : last
      if (area.value.closing) throw new UapiError('EINVAL', what, { iova: next })
      if (how.pages) {
        this.#checkAligned(area.value.from(next - area.first).offset, Number(to - next) + 1, to === last)
      }
      const right = how.write ? MAP_FLAG.WRITEABLE : MAP_FLAG.READABLE
      if ((area.value.rights & right) === 0) throw new UapiError('EPERM', what, { iova: next })
      visit(area, next, to)
      next = to + 1n
    }
    if (next <= last) throw new UapiError('ENOENT', what, { iova: next })
  }
  #checkAligned(offset: number, bytes: number, isLast: boolean): void {
    const { pageBytes } = this.#context.parts
    if (offset % pageBytes !== 0 || (!isLast && (offset + bytes) % pageBytes !== 0)) {
      throw new UapiError('EINVAL', 'iommufd access', { offset, bytes })
    }
  }
  #uncover(first: Iova, last: Iova): void {
    for (const area of this.#ioas?.table.contiguous(first, last) ?? []) {
      const from = area.first > first ? area.first : first
      const to = area.last < last ? area.last : last
      area.value.pages.uncover(area.value.from(from - area.first).page, area.value.pageAt(Number(to - area.first)))
      this.#count(area.value, -1)
    }
  }
  #count(area: Area, by: 1 | -1): void {
    area.addAccess(by)
    if (this.#internal) this.#ioas?.table.lock(area, by)
  }
}
