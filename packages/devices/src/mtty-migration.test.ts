import { type Caller, createHost, type Host, type MigrationData, Processes, writeUser } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { MttyMigration } from './mtty-migration.ts'
import { MttyPort } from './mtty-port.ts'

const PRECOPY_INFO = 0x3b79

function card(ports = 1) {
  const all = Array.from({ length: ports }, () => new MttyPort(() => undefined))
  return { ports: all, migration: new MttyMigration({ ports: all }) }
}
const CALLER = {} as Caller
const opened = (data: MigrationData | undefined): MigrationData['file'] => {
  if (!data) throw new Error('no file')
  return data.file
}
function readAll({ file }: Pick<MigrationData, 'file'>, bytes = 200): Uint8Array {
  const into = new Uint8Array(bytes)
  return into.subarray(0, file.read?.(CALLER, into) ?? 0)
}

describe('states', () => {
  test('begin with RUNNING; ERROR and what lies behind STOP_COPY cannot be reached', () => {
    const { migration } = card()
    expect([migration.state, migration.dataSize()]).toEqual(['RUNNING', 60n])
    expect(() => migration.set('ERROR')).toThrow('EINVAL')
    migration.set('STOP_COPY')
    expect(() => migration.set('PRE_COPY')).toThrow('EINVAL')
    expect(migration.state).toBe('STOP_COPY')
    migration.reset()
    expect(migration.state).toBe('RUNNING')
  })
  test('a way that stops half is not gone back', () => {
    const { migration } = card()
    migration.set('RESUMING')
    expect(() => migration.set('RUNNING')).toThrow('EINVAL')
    expect(migration.state).toBe('RESUMING')
  })
})

describe('the data', () => {
  test('moves a card to another one', () => {
    const [from, to] = [card(2), card(2)]
    from.ports[1]?.write(0, 0x5a)
    const bytes = readAll({ file: opened(from.migration.set('STOP_COPY')) })
    expect([bytes.length, bytes[8], bytes[16]]).toEqual([96, 1, 2])
    const file = opened(to.migration.set('RESUMING'))
    expect([file.write?.(CALLER, bytes.subarray(0, 30)), file.write?.(CALLER, bytes.subarray(30))]).toEqual([30, 66])
    to.migration.set('RUNNING')
    expect(to.ports[1]?.read(0)).toBe(0x5a)
    expect(() => file.write?.(CALLER, Uint8Array.of(1))).toThrow('ENODEV')
  })
  test('of another kind of card is refused at its header; more than fits never', () => {
    const bytes = readAll({ file: opened(card(2).migration.set('STOP_COPY')) })
    const { migration } = card(1)
    const file = opened(migration.set('RESUMING'))
    expect(() => file.write?.(CALLER, bytes)).toThrow('ENOMEM')
    expect(() => file.write?.(CALLER, bytes.subarray(0, 24))).toThrow('EFAULT')
    expect(() => migration.set('STOP')).toThrow('EINVAL')
  })
  test('goes on in one file from PRE_COPY to STOP_COPY, and stands for nothing after', () => {
    const { migration } = card()
    const file = opened(migration.set('PRE_COPY'))
    expect([readAll({ file }).length, readAll({ file }).length]).toEqual([24, 0])
    expect(migration.set('STOP_COPY')).toBeUndefined()
    expect(readAll({ file }).length).toBe(36)
    migration.set('RUNNING')
    expect(() => readAll({ file })).toThrow('ENODEV')
  })
})

function program(): { readonly host: Host; readonly caller: Caller; readonly uva: bigint } {
  const host = createHost({ plugins: [] })
  const process = host.get(Processes).spawn()
  return { host, caller: { process }, uva: process.addressSpace.mmap({ bytes: 4096 }) }
}

describe('what is left before it stops', () => {
  test('is told in PRE_COPY alone, to who gives room', () => {
    const { caller, uva } = program()
    const { migration } = card()
    const file = opened(migration.set('PRE_COPY'))
    writeUser(caller, uva, Uint8Array.of(24, 0, 0, 0, 9, 0, 0, 0), 'test')
    readAll({ file }, 4)
    expect(file.ioctl?.(caller, PRECOPY_INFO, uva)).toBe(0)
    const info = caller.process.addressSpace
    const bytes = new Uint8Array(24)
    info.copyIn(uva, bytes)
    expect([bytes[4], bytes[8], bytes[16]]).toEqual([9, 20, 0])
    migration.usePrecopyInfo2()
    file.ioctl?.(caller, PRECOPY_INFO, uva)
    info.copyIn(uva, bytes)
    expect(bytes[4]).toBe(0)
    expect(() => file.ioctl?.(caller, PRECOPY_INFO, 8n)).toThrow('EFAULT')
    expect(() => file.ioctl?.(caller, 0x1234, uva)).toThrow('ENOTTY')
    migration.set('STOP_COPY')
    expect(() => file.ioctl?.(caller, PRECOPY_INFO, uva)).toThrow('EINVAL')
    writeUser(caller, uva, Uint8Array.of(8), 'test')
    expect(() => file.ioctl?.(caller, PRECOPY_INFO, uva)).toThrow('EINVAL')
  })
})
