import {
  createHost,
  type Host,
  type Plugin,
  Processes,
  REMOVED,
  Sysfs,
  type VfioDriver,
  VfioDevices,
  type VfioSession,
} from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { mtty } from './mtty.ts'

const UUID = '83b8f4f2-509f-382f-3c1e-e6bfe0fa1002'
const TYPES = '/sys/class/mdev_bus/mtty/mdev_supported_types'

/** A host whose VFIO only remembers what it was offered. */
function rig(): { readonly host: Host; readonly offered: Map<string, VfioDriver> } {
  const offered = new Map<string, VfioDriver>()
  const registry: Plugin = {
    name: 'registry',
    contract: 1,
    provides: [VfioDevices],
    setup: (host) => {
      host.provide(VfioDevices, {
        add: (driver) => {
          offered.set(driver.sysfs ?? '', driver)
          const remove = () => {
            offered.delete(driver.sysfs ?? '')
            return REMOVED
          }
          return { index: 0, remove }
        },
      })
    },
  }
  return { host: createHost({ plugins: [registry, mtty()] }), offered }
}
const create = (host: Host, uuid: string, type = 'mtty-1'): void => {
  host.get(Sysfs).write(`${TYPES}/${type}/create`, `${uuid}\n`)
}
const DEVICE = `/sys/bus/mdev/devices/${UUID}`

describe('the parent', () => {
  test('makes a card for a UUID, and takes it away when asked', () => {
    const { host, offered } = rig()
    const sysfs = host.get(Sysfs)
    create(host, UUID)
    expect([...offered.keys()]).toEqual([sysfs.resolve(DEVICE)])
    expect(sysfs.resolve(`${DEVICE}/mdev_type`)).toBe(sysfs.resolve(`${TYPES}/mtty-1`))
    sysfs.write(`${DEVICE}/remove`, '0')
    expect(sysfs.exists(DEVICE)).toBe(true)
    sysfs.write(`${DEVICE}/remove`, '1')
    expect([sysfs.exists(DEVICE), offered.size]).toEqual([false, 0])
    host.close()
  })

  test('refuses what is no UUID, and one that is taken', () => {
    const { host } = rig()
    create(host, UUID)
    expect(() => {
      create(host, 'card')
    }).toThrow('EINVAL')
    expect(() => {
      create(host, UUID, 'mtty-2')
    }).toThrow('EEXIST')
    expect(() => {
      host.get(Sysfs).write(`${DEVICE}/remove`, 'yes')
    }).toThrow('EINVAL')
  })

  test('has 24 ports to give', () => {
    const { host } = rig()
    const left = (type: string): string => host.get(Sysfs).read(`${TYPES}/${type}/available_instances`)
    create(host, UUID, 'mtty-2')
    expect([left('mtty-1'), left('mtty-2')]).toEqual(['22\n', '11\n'])
  })
})

const card = (ports: 1 | 2): { readonly host: Host; readonly session: VfioSession } => {
  const { host, offered } = rig()
  create(host, UUID, `mtty-${ports}`)
  const [driver] = offered.values()
  return { host, session: (driver as VfioDriver).open({ process: host.get(Processes).spawn() }) }
}

describe('a card', () => {
  const CONFIG = 7n << 40n

  test('looks like a PCI function with one I/O region for each port', () => {
    const { host, session } = card(2)
    const caller = { process: host.get(Processes).spawn() }
    const ids = new Uint8Array(4)
    session.read(caller, CONFIG, ids)
    expect([...ids]).toEqual([0x48, 0x43, 0x53, 0x32])
    expect([0, 1, 2, 7].map((i) => Number(session.regionInfo(i).size))).toEqual([8, 8, 0, 256])
    expect(() => session.regionInfo(9)).toThrow('EINVAL')
    expect(() => session.irqInfo(2)).toThrow('EINVAL')
    session.write(caller, CONFIG + 0x10n, Uint8Array.of(0xff, 0xff, 0xff, 0xff))
    session.read(caller, CONFIG + 0x10n, ids)
    expect([...ids]).toEqual([0xf9, 0xff, 0xff, 0xff])
  })

  test('gives back what was sent, and refuses what lies outside', () => {
    const { host, session } = card(1)
    const caller = { process: host.get(Processes).spawn() }
    const at = (register: number): number => {
      const into = new Uint8Array(1)
      session.read(caller, BigInt(register), into)
      return into[0] as number
    }
    expect(at(5)).toBe(0x60)
    session.write(caller, 0n, Uint8Array.of(0x41))
    expect([at(5), at(0), at(5)]).toEqual([0x61, 0x41, 0x60])
    expect(() => session.read(caller, 8n, new Uint8Array(1))).toThrow('EINVAL')
    expect(() => session.read(caller, 1n << 40n, new Uint8Array(1))).toThrow('EINVAL')
  })
})
