/** Parameters of kernel modules in /sys/module, for root to change. kernel/params.c param_set_bool, param_set_uint. */
import { UapiError } from './errno.ts'
import type { SysfsTree } from './sysfs.ts'

/** @param value its `enabled` is the parameter */
export function addSwitch(sysfs: SysfsTree, path: string, value: { enabled: boolean }): void {
  sysfs.addFile(path, {
    show: () => (value.enabled ? 'Y\n' : 'N\n'),
    store(text) {
      value.enabled = boolean(text)
    },
  })
}

/** @param value its `limit` is the parameter, u32 */
export function addLimit(sysfs: SysfsTree, path: string, value: { limit: number }): void {
  sysfs.addFile(path, {
    show: () => `${value.limit}\n`,
    store(text) {
      value.limit = number(text)
    },
  })
}

/** lib/kstrtox.c kstrtobool: the first letter decides, of `on` and `off` the second. */
function boolean(text: string): boolean {
  if (/^(?:[yYtT1]|[oO][nN])/.test(text)) return true
  if (/^(?:[nNfF0]|[oO][fF])/.test(text)) return false
  throw new UapiError('EINVAL', 'param_set_bool', { text })
}

function number(text: string): number {
  const trimmed = text.endsWith('\n') ? text.slice(0, -1) : text
  if (!/^\+?(?:0x[0-9a-f]+|[0-9]+)$/i.test(trimmed)) throw new UapiError('EINVAL', 'param_set_uint', { text })
  const value = Number(trimmed)
  if (value > 0xffff_ffff) throw new UapiError('ERANGE', 'param_set_uint', { text })
  return value
}
