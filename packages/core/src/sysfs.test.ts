import { describe, expect, test } from 'vitest'
import { UapiError } from './errno.ts'
import { SysfsTree } from './sysfs.ts'

const FUNCTION = '/sys/devices/pci0000:00/0000:00:01.0'
const GROUP = '/sys/kernel/iommu_groups/3'

function machine(): SysfsTree {
  const sysfs = new SysfsTree()
  sysfs.addFile(`${FUNCTION}/vendor`, { show: () => '0x1234\n' })
  sysfs.addLink('/sys/bus/pci/devices/0000:00:01.0', FUNCTION)
  sysfs.addLink(`${FUNCTION}/iommu_group`, GROUP)
  sysfs.addLink(`${GROUP}/devices/0000:00:01.0`, FUNCTION)
  return sysfs
}

describe('a path', () => {
  test('follows links, at its end and on its way', () => {
    const sysfs = machine()
    expect(sysfs.read('/sys/bus/pci/devices/0000:00:01.0/vendor')).toBe('0x1234\n')
    expect(sysfs.resolve('/sys/bus/pci/devices/0000:00:01.0/iommu_group')).toBe(GROUP)
    expect(sysfs.list('/sys/bus/pci/devices/0000:00:01.0/iommu_group/devices')).toEqual(['0000:00:01.0'])
  })
  test('may hold . and .. and doubled slashes', () => {
    expect(machine().read(`${FUNCTION}//../0000:00:01.0/./vendor`)).toBe('0x1234\n')
    expect(machine().resolve('/sys/bus/pci/devices/0000:00:01.0/..')).toBe('/sys/devices/pci0000:00')
  })
  test('that leads nowhere is ENOENT; a link there is still a link', () => {
    const sysfs = machine()
    sysfs.remove(FUNCTION)
    expect(() => sysfs.read('/sys/bus/pci/devices/0000:00:01.0/vendor')).toThrow(/open: ENOENT/)
    expect(sysfs.exists('/sys/bus/pci/devices/0000:00:01.0')).toBe(false)
    expect(sysfs.kindOf('/sys/bus/pci/devices/0000:00:01.0')).toBe('link')
    expect(() => sysfs.list(`${GROUP}/nothing`)).toThrow(/readdir: ENOENT/)
    expect(() => sysfs.resolve('/sys/kernel/none')).toThrow(/realpath: ENOENT/)
  })
  test('through a file is ENOENT, through a ring of links ELOOP', () => {
    const sysfs = machine()
    expect(() => sysfs.read(`${FUNCTION}/vendor/x`)).toThrow(/ENOENT/)
    sysfs.addLink('/sys/a', '/sys/b')
    sysfs.addLink('/sys/b', '/sys/a')
    expect(() => sysfs.read('/sys/a')).toThrow(/ELOOP/)
  })
})

describe('a link', () => {
  test('reads relative to its directory, as the kernel prints it', () => {
    const sysfs = machine()
    expect(sysfs.readLink(`${FUNCTION}/iommu_group`)).toBe('../../../kernel/iommu_groups/3')
    expect(sysfs.readLink('/sys/bus/pci/devices/0000:00:01.0')).toBe('../../../devices/pci0000:00/0000:00:01.0')
  })
  test('may come and go by itself', () => {
    const sysfs = machine()
    let target: string | undefined
    sysfs.addLink(`${FUNCTION}/driver`, () => target)
    expect([
      sysfs.exists(`${FUNCTION}/driver`),
      sysfs.kindOf(`${FUNCTION}/driver`),
      sysfs.has(`${FUNCTION}/driver`),
    ]).toEqual([false, undefined, true])
    expect(sysfs.list(FUNCTION)).not.toContain('driver')
    target = GROUP
    expect([sysfs.resolve(`${FUNCTION}/driver`), sysfs.list(FUNCTION).includes('driver')]).toEqual([GROUP, true])
  })
  test('is the only thing readlink takes', () => {
    expect(() => machine().readLink(`${FUNCTION}/vendor`)).toThrow(/readlink: EINVAL/)
    expect(() => machine().readLink(`${FUNCTION}/none`)).toThrow(/readlink: ENOENT/)
  })
})

describe('an attribute', () => {
  test('is stored through its own rules', () => {
    const sysfs = machine()
    let value = '(null)'
    sysfs.addFile(`${FUNCTION}/driver_override`, {
      show: () => `${value}\n`,
      store: (text) => {
        if (text.length > 4095) throw new UapiError('EINVAL', 'driver_override')
        value = text.trim()
      },
    })
    sysfs.write(`${FUNCTION}/driver_override`, 'vfio-pci\n')
    expect(sysfs.read(`${FUNCTION}/driver_override`)).toBe('vfio-pci\n')
    expect(() => sysfs.write(`${FUNCTION}/driver_override`, 'x'.repeat(4096))).toThrow(/driver_override: EINVAL/)
  })
  test('without show or store is EACCES', () => {
    const sysfs = machine()
    sysfs.addFile(`${FUNCTION}/remove`, { store: () => undefined })
    expect(() => sysfs.read(`${FUNCTION}/remove`)).toThrow(/EACCES/)
    expect(() => sysfs.write(`${FUNCTION}/vendor`, '1')).toThrow(/EACCES/)
  })
  test('may be binary', () => {
    const sysfs = machine()
    sysfs.addFile(`${FUNCTION}/config`, { show: () => Uint8Array.of(0x34, 0x12, 0xff) })
    expect([...sysfs.readBytes(`${FUNCTION}/config`)]).toEqual([0x34, 0x12, 0xff])
    expect([...sysfs.readBytes(`${FUNCTION}/vendor`)].length).toBe(7)
  })
})

describe('a directory', () => {
  test('lists its names sorted, and cannot be read or written', () => {
    const sysfs = machine()
    sysfs.addDirectory(`${FUNCTION}/power`)
    expect(sysfs.list(FUNCTION)).toEqual(['iommu_group', 'power', 'vendor'])
    expect(() => sysfs.read(FUNCTION)).toThrow(/EISDIR/)
    expect(() => sysfs.write(FUNCTION, '')).toThrow(/EISDIR/)
    expect(() => sysfs.list(`${FUNCTION}/vendor`)).toThrow(/ENOTDIR/)
  })
  test('takes no second entry of one name, and none below a file', () => {
    const sysfs = machine()
    expect(() => sysfs.addFile(`${FUNCTION}/vendor`, {})).toThrow(/EEXIST/)
    expect(() => sysfs.addFile(`${FUNCTION}/vendor/x`, {})).toThrow(/ENOTDIR/)
  })
  test('goes with all below it; removing what is not there is harmless', () => {
    const sysfs = machine()
    sysfs.remove('/sys/devices')
    sysfs.remove('/sys/devices')
    sysfs.remove('/sys/none/none')
    expect([sysfs.exists(FUNCTION), sysfs.exists(GROUP)]).toEqual([false, true])
  })
})
