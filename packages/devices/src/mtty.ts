/** The parent of mediated serial cards: types in sysfs, `create` and `remove` as Documentation/driver-api/vfio-mediated-device.rst. */
import { type Plugin, Sysfs, type SysfsTree, UapiError, type VfioRegistration, VfioDevices } from '@ioasis/core'
import { MttyDevice } from './mtty-device.ts'

const PARENT = '/sys/devices/virtual/mtty/mtty'
/** Ports that all cards together may have. */
const MAX_PORTS = 24
const TYPES = [
  { id: 'mtty-1', name: 'Single port serial', ports: 1 },
  { id: 'mtty-2', name: 'Dual port serial', ports: 2 },
] as const
/** Its text and one more byte are taken, as `echo` writes them. */
const UUID_LENGTH = 36
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** A plug-in with the parent; cards are made through sysfs. Needs a package that provides VFIO's devices. */
export const mtty = (): Plugin => ({
  name: 'mtty',
  contract: 1,
  needs: [Sysfs, VfioDevices],
  setup: (host) => {
    const parent = new MttyParent(host.get(Sysfs), host.get(VfioDevices))
    parent.addTypes()
    host.onClose(() => parent.close())
  },
})

interface Card {
  readonly type: string
  readonly ports: number
  readonly registration: VfioRegistration
}

class MttyParent {
  readonly #sysfs: SysfsTree
  readonly #devices: VfioDevices
  readonly #cards = new Map<string, Card>()

  constructor(sysfs: SysfsTree, devices: VfioDevices) {
    this.#sysfs = sysfs
    this.#devices = devices
  }
  addTypes(): void {
    for (const { id, name, ports } of TYPES) {
      const directory = `${PARENT}/mdev_supported_types/${id}`
      this.#sysfs.addFile(`${directory}/name`, { show: () => `${name}\n` })
      this.#sysfs.addFile(`${directory}/device_api`, { show: () => 'vfio-pci\n' })
      this.#sysfs.addFile(`${directory}/available_instances`, { show: () => `${Math.floor(this.#free / ports)}\n` })
      this.#sysfs.addFile(`${directory}/create`, { store: (text) => this.#create(text, id, ports) })
    }
    this.#sysfs.addLink('/sys/class/mdev_bus/mtty', PARENT)
  }
  close(): void {
    for (const uuid of this.#cards.keys()) this.#remove(uuid)
  }

  get #free(): number {
    return MAX_PORTS - [...this.#cards.values()].reduce((sum, card) => sum + card.ports, 0)
  }
  /** @throws UapiError EINVAL for what is no UUID, EEXIST; ENOSPC when too few ports are left */
  #create(written: string, type: string, ports: number): void {
    const uuid = written.slice(0, UUID_LENGTH)
    if (written.length > UUID_LENGTH + 1 || !UUID.test(uuid)) throw new UapiError('EINVAL', 'mdev create', { uuid })
    if (this.#cards.has(uuid)) throw new UapiError('EEXIST', 'mdev create', { uuid })
    if (this.#free < ports) throw new UapiError('ENOSPC', 'mdev create', { type })
    const directory = `${PARENT}/${uuid}`
    this.#sysfs.addFile(`${directory}/remove`, { store: (text) => this.#removeAsked(uuid, text) })
    this.#sysfs.addFile(`${directory}/vendor/sample_mdev_dev`, { show: () => `This is MDEV ${uuid}\n` })
    this.#sysfs.addLink(`${directory}/mdev_type`, `${PARENT}/mdev_supported_types/${type}`)
    this.#sysfs.addLink(`${PARENT}/mdev_supported_types/${type}/devices/${uuid}`, directory)
    this.#sysfs.addLink(`/sys/bus/mdev/devices/${uuid}`, directory)
    const registration = this.#devices.add(new MttyDevice(uuid, directory, ports))
    this.#cards.set(uuid, { type, ports, registration })
  }
  /** drivers/vfio/mdev/mdev_sysfs.c remove_store: a number that is 0 does nothing. */
  #removeAsked(uuid: string, text: string): void {
    if (!/^\s*(?:0x[0-9a-f]+|[0-9]+)\s*$/i.test(text)) throw new UapiError('EINVAL', 'mdev remove', { uuid, text })
    if (Number(text) !== 0) this.#remove(uuid)
  }
  /** The card goes once nobody uses it; its directory is left at once, as nobody may open it any more. */
  #remove(uuid: string): void {
    const card = this.#cards.get(uuid)
    if (!card) return
    this.#cards.delete(uuid)
    card.registration.remove()
    this.#sysfs.remove(`${PARENT}/mdev_supported_types/${card.type}/devices/${uuid}`)
    this.#sysfs.remove(`/sys/bus/mdev/devices/${uuid}`)
    this.#sysfs.remove(`${PARENT}/${uuid}`)
  }
}
