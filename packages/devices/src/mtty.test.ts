import {
  createHost,
  EventFd,
  type Host,
  type Plugin,
  Processes,
  REMOVED,
  Sysfs,
  type VfioDriver,
  VfioDevices,
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
    expect(sysfs.resolve(`${TYPES}/mtty-1/devices/${UUID}`)).toBe(sysfs.resolve(DEVICE))
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
      create(host, `${UUID} `)
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

/** A card that is open, its caller, and one-byte reads of its first port. */
function card(ports: 1 | 2) {
  const { host, offered } = rig()
  create(host, UUID, `mtty-${ports}`)
  const [driver] = offered.values()
  const caller = { process: host.get(Processes).spawn() }
  const session = (driver as VfioDriver).open(caller, { vm: undefined })
  const at = (register: number): number => {
    const into = new Uint8Array(1)
    session.read(caller, BigInt(register), into)
    return into[0] as number
  }
  return { host, session, caller, at }
}

const CONFIG = 7n << 40n

describe('a card', () => {
  test('looks like a PCI function with one I/O region for each port', () => {
    const { session, caller } = card(2)
    const ids = new Uint8Array(4)
    session.read(caller, CONFIG, ids)
    expect([...ids]).toEqual([0x48, 0x43, 0x53, 0x32])
    expect([0, 1, 2, 7].map((i) => Number(session.regionInfo(i).size))).toEqual([8, 8, 0, 255])
    expect(() => session.regionInfo(9)).toThrow('EINVAL')
    session.write(caller, CONFIG + 0x10n, Uint8Array.of(0xff, 0xff, 0xff, 0xff))
    session.read(caller, CONFIG + 0x10n, ids)
    expect([...ids]).toEqual([0xf9, 0xff, 0xff, 0xff])
    const text = new Uint8Array(15)
    session.read(caller, CONFIG + 0x60n, text)
    expect(String.fromCharCode(...text)).toBe('PCI Serial/UART')
  })

  test('gives back what was sent, and refuses what lies outside', () => {
    const { session, caller, at } = card(1)
    expect(at(5)).toBe(0x60)
    session.write(caller, 0n, Uint8Array.of(0x41))
    expect([at(5), at(0), at(5)]).toEqual([0x01, 0x41, 0x60])
    expect(() => session.read(caller, 2n << 40n, new Uint8Array(1))).toThrow('EFAULT')
    expect(() => session.read(caller, CONFIG + 256n, new Uint8Array(1))).toThrow('EFAULT')
    expect(session.read(caller, 8n, new Uint8Array(1))).toBe(1)
  })

  test('knows of no interrupts before its information was asked for', () => {
    const { session } = card(1)
    expect([session.irqCount(0), session.irqCount(4)]).toEqual([0, 0])
    expect(() => session.irqInfo(0)).toThrow('EINVAL')
    session.infoAsked?.()
    expect([session.irqInfo(0), session.irqInfo(1), session.irqCount(4)]).toEqual([
      { flags: 7, count: 1 },
      { flags: 9, count: 1 },
      5,
    ])
    expect(() => session.irqInfo(4)).toThrow('EINVAL')
  })

  test('signals its line once until it is unmasked', () => {
    const { session, caller } = card(1)
    const event = new EventFd()
    const request = { index: 0, start: 0, count: 1 } as const
    session.setIrqs(caller, { ...request, action: 'trigger', data: { kind: 'eventfd', fds: [3], event: () => event } })
    session.setIrqs(caller, { ...request, action: 'trigger', data: { kind: 'none' } })
    session.setIrqs(caller, { ...request, action: 'trigger', data: { kind: 'none' } })
    expect(event.count).toBe(1n)
    session.setIrqs(caller, { ...request, action: 'unmask', data: { kind: 'none' } })
    session.write(caller, 1n, Uint8Array.of(2))
    expect(event.count).toBe(2n)
    expect(() => session.setIrqs(caller, { ...request, index: 1, action: 'trigger', data: { kind: 'none' } })).toThrow(
      'EINVAL',
    )
    expect(() => session.setIrqs(caller, { ...request, index: 4, action: 'trigger', data: { kind: 'none' } })).toThrow(
      'ENOTTY',
    )
  })
})
