import { type IommuDevice, NO_PASID, type PageRequest } from '@ioasis/core'
import { expect, test } from 'vitest'
import { FaultQueue } from './fault-queue.ts'
import type { Hwpt } from './hwpt.ts'
import { type Attached, PageRequests } from './page-requests.ts'

const device = (userPasidTable: boolean): { id: number; iommu: IommuDevice } => ({
  id: 1,
  iommu: { driver: { userPasidTable } } as unknown as IommuDevice,
})
const attached = (type: string, fault?: FaultQueue): Attached => ({
  hwpt: { domain: { type }, fault } as unknown as Hwpt,
  handle: { device: { id: 1 } },
})
const answers: string[] = []
const request = (values: Partial<PageRequest>): PageRequest => ({
  requester: 0,
  pasid: NO_PASID,
  iova: 0n,
  read: true,
  write: false,
  exec: false,
  priv: false,
  last: true,
  group: 1,
  respond: (code) => void answers.push(code),
  ...values,
})

test('a PASID that nobody attached reaches a nested domain only, and only where user space keeps the table', () => {
  const fault = new FaultQueue()
  let rid = attached('nested', fault)
  const requests = new PageRequests(0, (pasid) => (pasid === 0 ? rid : undefined))
  requests.deliver(device(true), request({ pasid: 9 }))
  expect([fault.outstanding, answers.length]).toEqual([1, 0])
  requests.deliver(device(false), request({ pasid: 9 }))
  rid = attached('paging', fault)
  requests.deliver(device(true), request({ pasid: 9 }))
  expect([fault.outstanding, answers]).toEqual([1, ['invalid', 'invalid']])
})

test('without a queue each request is refused, also one that is not the last of its group', () => {
  answers.length = 0
  new PageRequests(0, () => attached('paging')).deliver(device(false), request({ last: false }))
  expect(answers).toEqual(['invalid'])
})

test('what was begun is forgotten when the last queue goes', () => {
  const fault = new FaultQueue()
  const requests = new PageRequests(0, () => attached('paging', fault))
  const one = device(false)
  requests.deliver(one, request({ last: false }))
  requests.clear()
  requests.deliver(one, request({}))
  expect(fault.read(80, () => true)).toBe(40)
})
