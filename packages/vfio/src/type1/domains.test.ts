import { expect, test } from 'vitest'
import { vfioWorld } from '../world.test-kit.ts'
import { Domains } from './domains.ts'
import { type1Parameters } from './parameters.ts'

function groups() {
  const world = vfioWorld({ caps: { enforcesCoherency: true } })
  for (const target of ['00:01.0', '00:02.0']) world.add(target)
  const found = world.vfio.groups.flatMap(({ iommu }) => (iommu ? [iommu] : []))
  for (const group of found) group.claim(world, false)
  return found as [(typeof found)[0], (typeof found)[0]]
}
const nothing = (): boolean => false

test('without a domain any page of the kernel will do', () => {
  expect([
    new Domains(4096, type1Parameters()).pageSizes,
    new Domains(65536, type1Parameters()).pageSizes,
    new Domains(4096, type1Parameters()).valid,
  ]).toEqual([0xffff_ffff_ffff_f000n, 0xffff_ffff_ffff_0000n, undefined])
})
test("no page is smaller than the kernel's", () => {
  const domains = new Domains(65536, type1Parameters())
  domains.attach(groups()[0], nothing, () => undefined)
  expect(domains.pageSizes).toBe(0x1_0000n)
})
test('a second group takes the same domain; limits are those of the groups that are left', () => {
  const domains = new Domains(4096, type1Parameters())
  const [one, two] = groups()
  let replays = 0
  for (const group of [one, two]) domains.attach(group, nothing, () => replays++)
  expect([domains.all.length, replays, domains.enforced, one.domain === two.domain]).toEqual([1, 1, true, true])
  expect(domains.valid?.map(({ first }) => first)).toEqual([0n, 0xfef0_0000n])
  let last = 0
  domains.detach(one, () => last++)
  domains.detach(two, () => last++)
  expect([last, domains.all.length, one.domain?.type]).toEqual([1, 0, 'blocked'])
})
const fail = (): never => {
  throw new Error('no memory')
}
test('a replay that fails leaves the group blocked', () => {
  const domains = new Domains(4096, type1Parameters())
  const [one] = groups()
  expect(() => domains.attach(one, nothing, fail)).toThrow('no memory')
  expect([domains.all.length, one.domain?.type]).toEqual([0, 'blocked'])
})
