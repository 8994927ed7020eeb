import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { AnyIoctlCall, StructLayout } from '@ioasis/core'
import * as mock from '@ioasis/iommu-mock'
import * as iommufd from '@ioasis/iommufd'
import * as kvm from '@ioasis/kvm'
import * as uapi from '@ioasis/uapi'
import { describe, expect, test } from 'vitest'

/** What the C compiler made of the kernel's headers: `node tools/uapi-layout.mjs`. */
interface Layout {
  readonly headers: Readonly<Record<string, string>>
  readonly structs: Readonly<
    Record<string, { readonly size: number; readonly members: Readonly<Record<string, readonly [number, number]>> }>
  >
  readonly constants: Readonly<Record<string, string>>
  readonly sha256: string
}
const file = new URL('testdata/layout.json', import.meta.resolve('@ioasis/uapi/package.json'))
const table: Layout = JSON.parse(readFileSync(fileURLToPath(file), 'utf8')) as Layout

const PACKAGES: Readonly<Record<string, object>> = { uapi, iommufd, kvm, mock }
const exported = Object.values(PACKAGES).flatMap((one) => Object.entries<unknown>({ ...one }))
const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null
const isStruct = (value: unknown): value is StructLayout<unknown> => isObject(value) && 'fields' in value
const isCall = (value: unknown): value is AnyIoctlCall => isObject(value) && 'minimum' in value

const calls = exported.flatMap(([, value]) => (isCall(value) ? [value] : []))
const structs = new Map(
  [...exported.map(([, value]) => value), ...calls.map(({ struct }) => struct)]
    .filter(isStruct)
    .map((struct) => [struct.name, struct]),
)

/** Structs of headers that are not in the table, each with the reason. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  kvm_regs: 'asm/kvm.h of x86; its size is part of the number of KVM_GET_REGS',
  kvm_sregs: 'asm/kvm.h of x86; its size is part of the number of KVM_GET_SREGS',
  papr_hcall: 'a nameless struct inside kvm_run',
  kvm_run: 'its head alone is answered: the rest tells of exits that are not made',
}
/** Calls whose numbers the x86 compiler cannot say. */
const POWER_CALLS = new Set([
  'KVM_CREATE_SPAPR_TCE',
  'KVM_CREATE_SPAPR_TCE_64',
  'KVM_GET_REGS (POWER)',
  'KVM_SET_REGS (POWER)',
])

describe('the table', () => {
  test('is as the compiler left it', () => {
    const { sha256, ...body } = table
    expect(createHash('sha256').update(JSON.stringify(body)).digest('hex')).toBe(sha256)
  })
})

/** Every place where a member of the header begins or ends. */
function edges({ size, members }: Layout['structs'][string], skipped: number): ReadonlySet<number> {
  const all = Object.values(members).flatMap(([offset, bytes]) => [offset - skipped, offset + bytes - skipped])
  return new Set([0, size - skipped, ...all])
}

/** What of a layout differs from the header. A capability's header lies before what our layout describes. */
function differences(struct: StructLayout<unknown>): readonly string[] {
  const known = table.structs[struct.name]
  if (!known) return struct.name in ELSEWHERE ? [] : ['not in any header']
  const skipped = known.members['header']?.[1] === 8 ? 8 : 0
  const found: string[] = []
  const holdsAll = struct.size + skipped === known.size || struct.name in ELSEWHERE
  if (!holdsAll) found.push(`size ${struct.size + skipped}, not ${known.size}`)
  const places = edges(known, skipped)
  for (const { name, offset, size } of struct.fields) {
    const named = Object.entries(known.members).filter(([path]) => path === name || path.endsWith(`.${name}`))
    if (named.length > 0 && !named.some(([, [at, bytes]]) => at - skipped === offset && bytes === size))
      found.push(`${name} at ${offset}+${size}, not ${named.map(([, place]) => place.join('+')).join(' or ')}`)
    // A member by another name covers whole members, or bytes between them.
    if (named.length === 0 && !places.has(offset)) found.push(`${name} begins inside a member`)
  }
  return found
}

describe('structs', () => {
  test.each([...structs])('%s lies as the compiler lays it out', (_name, struct) => {
    expect(differences(struct)).toEqual([])
  })
})

describe('calls', () => {
  test.each(calls.map((call) => [call.name, call] as const))('%s has the number of the header', (name, call) => {
    if (POWER_CALLS.has(name)) return
    // One call has many operations; each is a call of its own here.
    const number = name.startsWith('IOMMU_TEST_OP_') ? 'IOMMU_TEST_CMD' : name
    expect(BigInt(call.number)).toBe(BigInt(table.constants[number] ?? -1))
  })
})

/** Where the header's word is another than ours with a prefix. */
const WORDS: Readonly<Record<string, (key: string) => string>> = {
  VFIO_EXTENSION: (key) => (key === 'VFIO_TYPE1_NESTING_IOMMU' ? '__VFIO_RESERVED_TYPE1_NESTING_IOMMU' : key),
  VFIO_DEVICE_IOEVENTFD_FLAG: (key) => `VFIO_DEVICE_IOEVENTFD_${key}`,
  VFIO_DEVICE_FEATURE_FLAG: (key) => `VFIO_DEVICE_FEATURE_${key}`,
  VFIO_FEATURE: (key) => `VFIO_DEVICE_FEATURE_${key}`,
  VFIO_PCI_REGION: (key) => (key === 'COUNT' ? 'VFIO_PCI_NUM_REGIONS' : `VFIO_PCI_${key}_REGION_INDEX`),
  VFIO_PCI_IRQ: (key) => (key === 'COUNT' ? 'VFIO_PCI_NUM_IRQS' : `VFIO_PCI_${key}_IRQ_INDEX`),
  VFIO_IOMMU_TYPE1_INFO_CAP: (key) =>
    key === 'DMA_AVAIL' ? 'VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL' : `VFIO_IOMMU_TYPE1_INFO_CAP_${key}`,
  IOMMUFD_NR: (key) => (key === 'first' ? 'IOMMUFD_CMD_BASE' : 'IOMMUFD_CMD_HW_QUEUE_ALLOC'),
  MAP_FLAG: (key) => `IOMMU_IOAS_MAP_${key}`,
  HWPT_FLAG: (key) => (key === 'FAULT_ID_VALID' ? `IOMMU_HWPT_${key}` : `IOMMU_HWPT_ALLOC_${key}`),
  SET_DIRTY_FLAG: (key) => `IOMMU_HWPT_DIRTY_TRACKING_${key}`,
  GET_DIRTY_FLAG: (key) => `IOMMU_HWPT_GET_DIRTY_BITMAP_${key}`,
  VFIO_IOAS_OP: (key) => `IOMMU_VFIO_IOAS_${key}`,
  PGFAULT_FLAG: (key) => `IOMMU_PGFAULT_FLAGS_${key}`,
  PAGE_RESPONSE: (key) => `IOMMUFD_PAGE_RESP_${key}`,
  VEVENT_FLAG: (key) => `IOMMU_VEVENTQ_FLAG_${key}`,
  ACCESS_FLAG: (key) => `MOCK_FLAGS_ACCESS_${key}`,
  RW_FLAG: (key) => `MOCK_ACCESS_RW_${key}`,
  CREATE_ACCESS_FLAG: (key) => `MOCK_FLAGS_ACCESS_CREATE_${key}`,
  DEVICE_FLAG: (key) => `MOCK_FLAGS_DEVICE_${key}`,
  PAGE_TABLE: (key) => `MOCK_IOMMUPT_${key}`,
  CACHE_ENTRIES: () => 'MOCK_DEV_CACHE_NUM',
  DEVICE_CACHE_DEFAULT: () => 'IOMMU_TEST_DEV_CACHE_DEFAULT',
  HWPT_INVALIDATE_SELFTEST: () => 'IOMMU_HWPT_INVALIDATE_DATA_SELFTEST',
  HWPT_INVALIDATE_SELFTEST_INVALID: () => 'IOMMU_HWPT_INVALIDATE_DATA_SELFTEST_INVALID',
  INVALIDATE_ALL: () => 'IOMMU_TEST_INVALIDATE_FLAG_ALL',
  VIOMMU_INVALIDATE_SELFTEST: () => 'IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST',
  HW_QUEUES: () => 'IOMMU_TEST_HW_QUEUE_MAX',
}
const PREFIXES = ['', 'IOMMU_', 'IOMMU_TEST_', 'MOCK_']
/** Exports that are no numbers of these headers. */
const OURS = new Set(['U64_MAX', 'HYPERCALL_EXIT_AT', 'HCALL_ANSWER', 'HYPERCALL', 'DEFAULT_GEOMETRY', 'mockFormat'])

const isNumber = (value: unknown): value is number | bigint => typeof value === 'number' || typeof value === 'bigint'
const numbers = exported
  .filter(([name, value]) => !OURS.has(name) && !isStruct(value) && !isCall(value) && typeof value !== 'function')
  .flatMap(([name, value]): [string, string, number | bigint][] =>
    isNumber(value)
      ? [[name, name, value]]
      : isObject(value)
        ? Object.entries<unknown>({ ...value }).flatMap(([key, one]) =>
            isNumber(one) ? [[name, key, one] as [string, string, number | bigint]] : [],
          )
        : [],
  )

/** The header's word for one of our numbers. */
function wordOf(name: string, key: string): string | undefined {
  const word = WORDS[name]?.(key) ?? (name === key ? name : `${name}_${key}`)
  return PREFIXES.map((prefix) => prefix + word).find((one) => table.constants[one] !== undefined)
}

describe('numbers and flags', () => {
  test.each(numbers)('%s %s has the value of the header', (name, key, value) => {
    const word = wordOf(name, key)
    const known = BigInt(table.constants[word ?? ''] ?? 0)
    // -1 of an int is a u32 in its struct.
    const same = known === (1n << 64n) - 1n ? BigInt.asUintN(32, known) : known
    expect([word !== undefined, same]).toEqual([true, BigInt(value)])
  })
})
