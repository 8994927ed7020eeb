/** Module parameters, /sys/module/vfio_pci/parameters. drivers/vfio/pci/vfio_pci.c. */
import { switchText, type SysfsTree, UapiError } from '@ioasis/core'

/** Switches of the driver; all are off by default. */
export interface VfioPciParameters {
  /** Functions whose line cannot be masked in COMMAND: none is taken to have PCI 2.3 masking. */
  nointxmask: boolean
  /** The legacy region of displays is not offered. */
  disableVga: boolean
  /** Devices that nobody uses stay awake. */
  disableIdleD3: boolean
  /** `sriov_numvfs` may be written. */
  enableSriov: boolean
  /** Devices with known errata may be bound. */
  disableDenylist: boolean
}

const DIRECTORY = '/sys/module/vfio_pci/parameters'
/** Files; those that can be written count for functions bound from then on, and `enable_sriov` at once. */
const FILES: readonly (readonly [name: string, key: keyof VfioPciParameters, writable: boolean])[] = [
  ['nointxmask', 'nointxmask', true],
  ['disable_vga', 'disableVga', false],
  ['disable_idle_d3', 'disableIdleD3', true],
  ['enable_sriov', 'enableSriov', true],
  ['disable_denylist', 'disableDenylist', false],
]

/** Adds the files. */
export function addParameters(sysfs: SysfsTree, parameters: VfioPciParameters): void {
  for (const [name, key, writable] of FILES) {
    const show = (): string => (parameters[key] ? 'Y\n' : 'N\n')
    const store = (text: string): void => {
      const on = switchText(text)
      if (on === undefined) throw new UapiError('EINVAL', name, { text })
      parameters[key] = on
    }
    sysfs.addFile(`${DIRECTORY}/${name}`, writable ? { show, store } : { show })
  }
}
