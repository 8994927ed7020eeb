import { describe, expect, test } from 'vitest'
import { UapiError } from '../errno.ts'
import type { PciFunction } from '../pci/function.ts'
import type { Domain } from './domain.ts'
import type { AttachHow, AttachResult, IommuDevice, IommuDriver, ReservedRegion } from './driver.ts'
import { Group } from './group.ts'

/** A member that remembers what it was attached to, and refuses what it is told to refuse. */
class Member implements IommuDevice {
  readonly driver: IommuDriver = { name: 'fake', probe: () => undefined }
  readonly caps
  readonly requesterIds = []
  readonly reserved: ReservedRegion[] = []
  readonly defaultDomain: Domain
  readonly blocked: Domain
  readonly fn: PciFunction
  readonly refuses = new Set<Domain>()
  readonly throws = new Map<Domain, Error>()
  readonly seen: string[] = []
  now: Domain | undefined
  released = false

  constructor(name: string, defaultDomain: Domain, blocked: Domain, pasidBits = 0) {
    this.fn = { name } as PciFunction
    this.defaultDomain = defaultDomain
    this.blocked = blocked
    this.caps = { cacheCoherent: true, enforcesCoherency: true, isolatedMsi: true, pasidBits }
  }
  attach(domain: Domain, how: AttachHow): AttachResult {
    if (this.throws.has(domain)) throw this.throws.get(domain) as Error
    if (this.refuses.has(domain)) return 'incompatible'
    this.seen.push(how.pasid === undefined ? domain.type : `${domain.type} for ${how.pasid}`)
    if (how.pasid === undefined) {
      if (how.replacing !== this.now) throw new Error(`${this.fn.name}: told of another domain than the attached one`)
      this.now = domain
    }
    return 'ok'
  }
  release(): void {
    this.released = true
  }
}

const BLOCKED: Domain = { type: 'blocked' }
const KERNEL: Domain = { type: 'identity' }
const paging = (): Domain => ({ type: 'paging' })
const VFIO = { user: 'a container' }
const IOMMUFD = { user: 'a context' }

function pair(pasidBits = 0): { group: Group; a: Member; b: Member } {
  const group = new Group(7)
  const a = new Member('a', KERNEL, BLOCKED, pasidBits)
  const b = new Member('b', paging(), BLOCKED, pasidBits)
  group.add(a, [])
  group.add(b, [])
  return { group, a, b }
}

describe('default domain', () => {
  test('the first member decides it for all', () => {
    const { group, a, b } = pair()
    expect([group.domain, a.now, b.now]).toEqual([KERNEL, KERNEL, KERNEL])
    expect(group.defaultDomainType).toBe('identity')
  })
  test('a member that leaves is released; the last one empties the group', () => {
    const { group, a, b } = pair()
    expect(group.remove(a)).toBe(false)
    expect(group.remove(b)).toBe(true)
    expect([a.released, b.released]).toEqual([true, true])
  })
})

describe('ownership', () => {
  test('claiming blocks the DMA of every member; releasing gives it back to the kernel', () => {
    const { group, a, b } = pair()
    group.claim(VFIO, false)
    expect([a.now, b.now, group.owner]).toEqual([BLOCKED, BLOCKED, VFIO])
    group.release(VFIO)
    expect([a.now, b.now, group.owner]).toEqual([KERNEL, KERNEL, undefined])
  })
  test('a group has one owner: another one, and a second claim of the whole group, are refused', () => {
    const { group } = pair()
    group.claim(VFIO, false)
    expect(() => group.claim(IOMMUFD, true)).toThrow('EPERM')
    expect(() => group.claim(VFIO, false)).toThrow('EPERM')
  })
  test('device claims of one owner are counted', () => {
    const { group, a } = pair()
    group.claim(IOMMUFD, true)
    group.claim(IOMMUFD, true)
    group.release(IOMMUFD)
    expect(a.now).toBe(BLOCKED)
    group.release(IOMMUFD)
    expect(a.now).toBe(KERNEL)
  })
  test('a driver that uses the DMA API keeps owners out, and an owner keeps such drivers out', () => {
    const { group } = pair()
    group.use()
    group.use()
    expect(() => group.claim(VFIO, true)).toThrow('EPERM')
    group.unuse()
    group.unuse()
    group.claim(VFIO, false)
    expect(() => group.use()).toThrow('EBUSY')
  })
  test('drivers and an owner both count as users of its DMA', () => {
    const { group } = pair()
    const seen = [group.claimed]
    group.use()
    seen.push(group.claimed)
    group.unuse()
    group.claim(VFIO, false)
    seen.push(group.claimed)
    group.release(VFIO)
    expect([...seen, group.claimed]).toEqual([false, true, true, false])
  })
  test('a function that needs a one-to-one mapping cannot be taken', () => {
    const { group, a, b } = pair()
    b.reserved.push({ first: 0n, last: 0xfffn, type: 'direct', read: true, write: true })
    expect(() => group.claim(VFIO, false)).toThrow('EINVAL')
    expect([a.now, b.now, group.owner]).toEqual([KERNEL, KERNEL, undefined])
    group.use()
  })
  test('giving back what one does not own is a broken promise', () => {
    const { group } = pair()
    expect(() => group.release(VFIO)).toThrow('released by somebody who does not own it')
    expect(() => group.unuse()).toThrow('unuse without use')
  })
})

describe('attach', () => {
  test('every member sees the domain; a second one needs replace', () => {
    const { group, a, b } = pair()
    group.claim(VFIO, false)
    const first = paging()
    const second = paging()
    expect(group.attach(first)).toBe('ok')
    expect(() => group.attach(second)).toThrow('EBUSY')
    expect(group.replace(second)).toBe('ok')
    expect([a.now, b.now]).toEqual([second, second])
    group.detach()
    expect([a.now, b.now]).toEqual([BLOCKED, BLOCKED])
  })
  test('when one member refuses, the others go back and the caller may try another domain', () => {
    const { group, a, b } = pair()
    group.claim(VFIO, false)
    const domain = paging()
    b.refuses.add(domain)
    expect(group.attach(domain)).toBe('incompatible')
    expect([a.now, b.now, group.domain]).toEqual([BLOCKED, BLOCKED, BLOCKED])
    expect(a.seen.slice(-2)).toEqual(['paging', 'blocked'])
    expect(group.attach(paging())).toBe('ok')
  })
  test('when one member runs out of memory, the others go back and the error goes up', () => {
    const { group, a, b } = pair()
    const domain = paging()
    b.throws.set(domain, new UapiError('ENOMEM', 'attach'))
    expect(() => group.attach(domain)).toThrow('ENOMEM')
    expect([a.now, b.now, group.domain]).toEqual([KERNEL, KERNEL, KERNEL])
  })
  test('a driver that refuses the domain it had has broken its promise', () => {
    const { group, a, b } = pair()
    const domain = paging()
    b.refuses.add(domain)
    a.refuses.add(KERNEL)
    expect(() => group.attach(domain)).toThrow('fake: a refuses the domain it had before')
  })
})

describe('PASIDs', () => {
  test('attach, replace and remove reach the members that have PASIDs', () => {
    const { group, a } = pair(8)
    const [one, two] = [paging(), paging()]
    const { attachment } = group
    expect(attachment.setPasid(5, one, 'attach')).toBe('ok')
    expect(() => attachment.setPasid(5, two, 'attach')).toThrow('EBUSY')
    expect(() => attachment.setPasid(256, one, 'attach')).toThrow('EINVAL')
    expect(() => attachment.setPasid(6, one, 'replace')).toThrow('EINVAL')
    expect(attachment.setPasid(5, two, 'replace')).toBe('ok')
    attachment.removePasid(5)
    attachment.removePasid(5)
    expect(a.seen.slice(1)).toEqual(['paging for 5', 'paging for 5', 'blocked for 5'])
    expect(attachment.pasids.size).toBe(0)
  })
  test('when one member refuses, the others go back to what they had', () => {
    const { group, a, b } = pair(8)
    const [one, two] = [paging(), paging()]
    group.attachment.setPasid(5, one, 'attach')
    b.refuses.add(two)
    expect(group.attachment.setPasid(5, two, 'replace')).toBe('incompatible')
    expect(group.attachment.pasids.get(5)).toBe(one)
    expect(a.seen.slice(-2)).toEqual(['paging for 5', 'paging for 5'])
    expect(() => group.claim(VFIO, false)).toThrow('EBUSY')
  })
  test('members without PASIDs are left alone', () => {
    const { group, a } = pair(0)
    expect(group.attachment.setPasid(5, paging(), 'attach')).toBe('ok')
    expect(a.seen).toEqual(['identity'])
  })
})
