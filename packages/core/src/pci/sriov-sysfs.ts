/** SR-IOV in sysfs: `sriov_*` and `virtfnN` of a physical function, `physfn` of a virtual one. drivers/pci/iov.c. */
import type { DriverCore } from '../driver/binding.ts'
import { UapiError } from '../errno.ts'
import { switchText, unsignedText } from '../kernel-text.ts'
import type { SysfsTree } from '../sysfs.ts'
import type { PciFunction, SriovSwitch } from './function.ts'

/** What the files need. */
export interface SriovFiles {
  readonly sysfs: SysfsTree
  readonly drivers: DriverCore
  readonly pathOf: (fn: PciFunction) => string
}

/** Adds them to a function's directory. */
export function addSriovFiles(files: SriovFiles, fn: PciFunction): void {
  if (fn.sriov) addPhysical(files, fn, fn.sriov)
  if (fn.virtfn) addVirtual(files, fn, fn.virtfn.physfn)
}

function addPhysical({ sysfs, drivers, pathOf }: SriovFiles, fn: PciFunction, sriov: SriovSwitch): void {
  const path = pathOf(fn)
  const shown: Readonly<Record<string, () => string>> = {
    sriov_totalvfs: () => `${sriov.totalVfs}`,
    sriov_offset: () => `${sriov.offset}`,
    sriov_stride: () => `${sriov.stride}`,
    sriov_vf_device: () => sriov.vfDevice.toString(16),
    // No driver here shares vectors among virtual functions.
    sriov_vf_total_msix: () => '0',
  }
  for (const [name, show] of Object.entries(shown)) sysfs.addFile(`${path}/${name}`, { show: () => `${show()}\n` })
  sysfs.addFile(`${path}/sriov_numvfs`, {
    show: () => `${sriov.numVfs}\n`,
    store: (text) => configure(drivers, fn, sriov, text),
  })
  sysfs.addFile(`${path}/sriov_drivers_autoprobe`, {
    show: () => `${sriov.driversAutoprobe ? 1 : 0}\n`,
    store: (text) => {
      const on = switchText(text)
      if (on === undefined) throw new UapiError('EINVAL', 'sriov_drivers_autoprobe', { text })
      sriov.driversAutoprobe = on
    },
  })
  for (let i = 0; i < sriov.totalVfs; i++) {
    sysfs.addLink(`${path}/virtfn${i}`, () => {
      const virtfn = sriov.virtfns.find((one) => one.virtfn?.index === i)
      return virtfn && pathOf(virtfn)
    })
  }
}

/** sriov_numvfs_store. Switching off waits for users of virtual functions: it then goes on after the write. */
function configure(drivers: DriverCore, fn: PciFunction, sriov: SriovSwitch, text: string): void {
  const what = 'sriov_numvfs'
  const count = unsignedText(text, 16)
  if (count === undefined) throw new UapiError('EINVAL', what, { text })
  if (count > sriov.totalVfs) throw new UapiError('ERANGE', what, { count, total: sriov.totalVfs })
  if (count === sriov.numVfs) return
  const driver = drivers.driverOf(fn)
  if (!driver?.sriovConfigure) throw new UapiError('ENOENT', what, { function: fn.name })
  if (count > 0 && sriov.numVfs > 0) throw new UapiError('EBUSY', what, { count, on: sriov.numVfs })
  driver.sriovConfigure(fn, count)
}

function addVirtual({ sysfs, drivers, pathOf }: SriovFiles, fn: PciFunction, physfn: PciFunction): void {
  sysfs.addLink(`${pathOf(fn)}/physfn`, pathOf(physfn))
  sysfs.addFile(`${pathOf(fn)}/sriov_vf_msix_count`, {
    store: (text) => {
      const what = 'sriov_vf_msix_count'
      if (unsignedText(text, 31) === undefined) throw new UapiError('EINVAL', what, { text })
      // sriov_vf_msix_count_store: the physical function's driver would have to share its vectors.
      throw new UapiError('EOPNOTSUPP', what, { driver: drivers.driverOf(physfn)?.name ?? 'none' })
    },
  })
}
