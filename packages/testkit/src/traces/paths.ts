/** Paths of scripts: `cdev:A`, `group:A`, `mdev:T`, `dev:A/x`, and what they stand for on a host. */
import { Files, type Host, Sysfs, type SysfsTree } from '@ioasis/core'
import { TraceError } from './trace-file.ts'

const PCI_DEVICES = '/sys/bus/pci/devices'
const MDEV_DEVICES = '/sys/bus/mdev/devices'

/** Looks them up as a program does, in sysfs. */
export class TracePaths {
  readonly #host: Host
  readonly #sysfs: SysfsTree
  /** Names of functions, `0000:01:00.0`. */
  readonly #functions = new Map<string, string>()
  /** UUIDs of mediated devices. */
  readonly #mdevs = new Map<string, string>()

  constructor(host: Host, aliases: ReadonlyMap<string, string>) {
    this.#host = host
    this.#sysfs = host.get(Sysfs)
    for (const [alias, bdf] of aliases) this.#functions.set(alias, bdf)
  }
  nameFunction(alias: string, bdf: string): void {
    this.#functions.set(alias, bdf)
  }
  nameMdev(name: string, uuid: string): void {
    this.#mdevs.set(name, uuid)
  }
  /** @throws TraceError for an alias that names nothing */
  bdf(alias: string): string {
    const bdf = this.#functions.get(alias)
    if (bdf === undefined) throw new TraceError(`"${alias}" names no function`)
    return bdf
  }
  /** @returns undefined when the device has no such node */
  resolve(path: string): string | undefined {
    const colon = path.indexOf(':')
    const kind = path.slice(0, colon)
    const rest = path.slice(colon + 1)
    switch (path.startsWith('/') ? '' : kind) {
      case 'cdev':
        return this.#characterDevice(`${PCI_DEVICES}/${this.bdf(rest)}`)
      case 'group':
        return this.#group(`${PCI_DEVICES}/${this.bdf(rest)}`)
      case 'mdev':
        return this.#characterDevice(`${MDEV_DEVICES}/${this.#mdev(rest)}`)
      case 'mgroup':
        return this.#group(`${MDEV_DEVICES}/${this.#mdev(rest)}`)
      case 'dev':
      case 'grp':
      case 'intel':
        return this.#attribute(kind, rest)
    }
    return path
  }
  exists(path: string): boolean {
    const found = this.resolve(path)
    return (
      found !== undefined &&
      (found.startsWith('/sys/') ? this.#sysfs.exists(found) : this.#host.get(Files).exists(found))
    )
  }

  #attribute(kind: string, rest: string): string {
    const slash = rest.indexOf('/')
    const bdf = this.bdf(rest.slice(0, slash))
    const name = rest.slice(slash + 1)
    if (kind === 'intel') return `/sys/kernel/debug/iommu/intel/${bdf}/${name}`
    return `${PCI_DEVICES}/${bdf}/${kind === 'grp' ? 'iommu_group/' : ''}${name}`
  }
  #mdev(name: string): string {
    const uuid = this.#mdevs.get(name)
    if (uuid === undefined) throw new TraceError(`"${name}" names no mediated device`)
    return uuid
  }
  /** The name below `vfio-dev/` is that of the node. */
  #characterDevice(device: string): string | undefined {
    const directory = `${device}/vfio-dev`
    const name = this.#sysfs.exists(directory) ? this.#sysfs.list(directory)[0] : undefined
    const node = name === undefined ? undefined : `/dev/vfio/devices/${name}`
    return node !== undefined && this.#host.get(Files).exists(node) ? node : undefined
  }
  #group(device: string): string | undefined {
    const link = `${device}/iommu_group`
    if (!this.#sysfs.exists(link)) return undefined
    const id = this.#sysfs.resolve(link).split('/').at(-1) ?? ''
    const node = `/dev/vfio/${id}`
    return this.#host.get(Files).exists(node) ? node : (this.#noIommuNode(id) ?? node)
  }
  #noIommuNode(id: string): string | undefined {
    const node = `/dev/vfio/noiommu-${id}`
    return this.#host.get(Files).exists(node) ? node : undefined
  }
}
