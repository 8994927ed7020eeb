/** The memory that an emulated device reaches, through its group's container or through the address-space file it is bound to. */
import { type BoundAccess, type ContainerMember, type ContainerPins, UapiError, type VfioMemory } from '@ioasis/core'

/** VFIO_PIN_PAGES_MAX_ENTRIES: page numbers in one page of the kernel, on x86. */
const MOST_PAGES = 512

/** drivers/vfio/container.c vfio_device_container_pin_pages and its like. @param pins of the back end, when one was chosen and has some */
export function containerMemory(member: ContainerMember, pins: () => ContainerPins | undefined): VfioMemory {
  const mustPin = (what: string): ContainerPins => {
    const found = pins()
    if (!found) throw new UapiError('ENOTTY', what, { group: member.id })
    return found
  }
  return {
    pin: (iova, pages, how) => {
      mustBeSome(pages)
      if (pages > MOST_PAGES) throw new UapiError('E2BIG', 'vfio_pin_pages', { pages })
      return mustPin('vfio_pin_pages').pin(member, iova, pages, how)
    },
    unpin: (iova, pages) => mustPin('vfio_unpin_pages').unpin(iova, pages),
    copy: (caller, iova, bytes, how) => {
      mustBeSome(bytes.length)
      mustPin('vfio_dma_rw').copy(caller, iova, bytes, how)
    },
  }
}

/** drivers/vfio/vfio_main.c vfio_pin_pages and its like, with an iommufd access. @param pageBytes of the kernel */
export function accessMemory(access: BoundAccess, pageBytes: number): VfioMemory {
  const page = BigInt(pageBytes)
  const start = (iova: bigint): bigint => iova - (iova % page)
  return {
    pin: (iova, pages, how) => {
      mustBeSome(pages)
      const found = new Float64Array(pages)
      let at = 0
      for (const { hpa, bytes } of access.pin(start(iova), BigInt(pages) * page, how)) {
        for (let done = 0; done < bytes; done += pageBytes) found[at++] = hpa + done
      }
      return found
    },
    unpin: (iova, pages) => access.unpin(start(iova), BigInt(pages) * page),
    copy: (caller, iova, bytes, how) => {
      mustBeSome(bytes.length)
      access.copy(caller, iova, bytes, how)
    },
  }
}

function mustBeSome(count: number): void {
  if (count <= 0) throw new UapiError('EINVAL', 'vfio_pin_pages', { count })
}
