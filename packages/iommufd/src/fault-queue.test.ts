import { NO_PASID, POLL } from '@ioasis/core'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  HWPT_FLAG,
  HWPT_PAGE_RESPONSE,
  HWPT_PGFAULT,
  IOMMU_DESTROY,
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_HWPT_ALLOC,
} from './uapi.ts'
import { errnoOf, World } from './world.test-kit.ts'

let world: World
let fd: number
let faults: number
let device: ReturnType<World['bind']>
beforeEach(() => {
  world = new World()
  fd = world.open()
  const ioas = world.ioas(fd)
  device = world.bind(fd, 'a')
  const { out_fault_fd, out_fault_id: fault_id } = world.client.ioctl(fd, IOMMU_FAULT_QUEUE_ALLOC, {})
  faults = out_fault_fd
  const hwpt = { dev_id: device.id, pt_id: ioas, flags: HWPT_FLAG.FAULT_ID_VALID, fault_id }
  device.attach(world.client.ioctl(fd, IOMMU_HWPT_ALLOC, hwpt).out_hwpt_id)
})
afterEach(() => {
  world.client.exit()
  device.unbind()
  world.end()
})
const REQUEST = {
  pasid: NO_PASID,
  iova: 0x5000n,
  read: true,
  write: false,
  exec: false,
  priv: false,
  last: true,
  group: 7,
}
const request = (values: Partial<typeof REQUEST> = {}): { answer: string | undefined } =>
  world.paper('a').request({ ...REQUEST, ...values })
const read = (records = 8): readonly object[] => {
  const into = new Uint8Array(records * HWPT_PGFAULT.size)
  const got = world.client.read(faults, into)
  return Array.from({ length: got / 40 }, (_, i) => HWPT_PGFAULT.plain(into.subarray(40 * i, 40 * i + 40)))
}
const answer = (...records: readonly { cookie: number; code: number }[]): number => {
  const bytes = new Uint8Array(8 * records.length)
  records.forEach((record, i) => HWPT_PAGE_RESPONSE.encode(record, bytes.subarray(8 * i)))
  return world.client.write(faults, bytes)
}
const ready = (): number | undefined => world.client.poll([{ fd: faults, events: POLL.IN | POLL.OUT }])[0]

test('a request is read, answered, and its cookie used again', () => {
  const first = request()
  expect(ready()).toBe(POLL.IN | POLL.OUT)
  const record = {
    flags: 2,
    dev_id: device.id,
    pasid: 0,
    grpid: 7,
    perm: 1,
    addr: 0x5000n,
    length: 0,
    cookie: 1,
  }
  expect(read()).toEqual([{ ...record, __reserved: 0 }])
  expect([first.answer, ready()]).toEqual([undefined, POLL.OUT])
  expect(answer({ cookie: 1, code: 0 })).toBe(8)
  expect(first.answer).toBe('success')
  const second = request()
  read()
  answer({ cookie: 1, code: 1 })
  expect(second.answer).toBe('invalid')
})

test('requests of one group are read together and answered once', () => {
  const early = request({ last: false, iova: 0x1000n })
  request({ last: false, iova: 0x9000n, group: 8 })
  request({ last: false, iova: 0x3000n })
  const last = request({ iova: 0x2000n, write: true })
  expect(read()).toMatchObject([
    { addr: 0x1000n, flags: 0, cookie: 1 },
    { addr: 0x3000n, flags: 0, cookie: 1 },
    { addr: 0x2000n, flags: 2, perm: 3, cookie: 1 },
  ])
  answer({ cookie: 1, code: 0 })
  expect([early.answer, last.answer]).toEqual([undefined, 'success'])
})

test('a group that does not fit waits for a longer read', () => {
  request({ last: false })
  request()
  expect(errnoOf(() => read(1))).toBe('EINVAL')
  request({ group: 9 })
  expect(read(2)).toHaveLength(2)
  expect(read(2)).toMatchObject([{ grpid: 9, cookie: 2 }])
})

test('lengths that hold no whole number of records are refused', () => {
  expect(errnoOf(() => world.client.read(faults, new Uint8Array(41)))).toBe('ESPIPE')
  expect(errnoOf(() => world.client.write(faults, new Uint8Array(4)))).toBe('ESPIPE')
  expect([world.client.read(faults, new Uint8Array(0)), world.client.read(faults, new Uint8Array(40))]).toEqual([0, 0])
})

test('an answer that fits nothing ends the write: the first one is told as an error', () => {
  const waiting = request()
  read()
  expect(errnoOf(() => answer({ cookie: 9, code: 0 }))).toBe('EINVAL')
  expect(errnoOf(() => answer({ cookie: 1, code: 7 }))).toBe('EINVAL')
  expect(answer({ cookie: 1, code: 0 }, { cookie: 1, code: 0 })).toBe(8)
  expect(waiting.answer).toBe('success')
})

test('what a device waits for is refused when it is detached', () => {
  const [read1, unread] = [request(), request()]
  const into = new Uint8Array(40)
  world.client.read(faults, into)
  device.detach()
  expect([read1.answer, unread.answer, ready()]).toEqual(['invalid', 'invalid', POLL.OUT])
})

test('a request that no queue takes is refused at once', () => {
  device.detach()
  expect(request().answer).toBe('invalid')
})

test('the queue lives while its file is open, and the file while the context is closed', () => {
  const { out_fault_fd, out_fault_id: id } = world.client.ioctl(fd, IOMMU_FAULT_QUEUE_ALLOC, {})
  expect(errnoOf(() => world.client.ioctl(fd, IOMMU_DESTROY, { id }))).toBe('EBUSY')
  world.client.close(fd)
  expect(world.client.poll([{ fd: out_fault_fd, events: POLL.OUT }])).toEqual([POLL.OUT])
})

test('a group that the buffer cannot take stays, with those behind it; its cookie is free again', () => {
  const { client } = world
  const user = client.mmap({ bytes: 8192 })
  client.munmap(user + 4096n, 4096)
  for (const group of [1, 2, 3]) request({ group })
  expect(errnoOf(() => client.readTo(faults, user + 4080n, 80))).toBe('EFAULT')
  expect(client.readTo(faults, user + 4096n - 60n, 80)).toBe(40)
  expect(read()).toMatchObject([
    { grpid: 2, cookie: 2 },
    { grpid: 3, cookie: 3 },
  ])
})

test('answers before one that cannot be read are given', () => {
  const { client } = world
  const user = client.mmap({ bytes: 8192 })
  client.munmap(user + 4096n, 4096)
  const first = request()
  read()
  client.poke(user + 4088n, HWPT_PAGE_RESPONSE.make({ cookie: 1, code: 0 }))
  expect(errnoOf(() => client.writeFrom(faults, user + 4096n, 8))).toBe('EFAULT')
  expect([client.writeFrom(faults, user + 4088n, 16), first.answer]).toEqual([8, 'success'])
})
