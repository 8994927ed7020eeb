/** Hostile calls over all files of hosts: programs that do what they should not, and calls of no program at all. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { IoctlTable, IOMMUFD_CONVENTION, type Plugin } from '@ioasis/core'
import { IOMMU_DESTROY } from '@ioasis/iommufd'
import {
  type HostileReport,
  LEAST_SUCCESS,
  readTraces,
  recordedErrors,
  runHostile,
  Statistics,
  type TraceScenario,
} from '@ioasis/testkit'
import { describe, expect, test } from 'vitest'
import { labTraceMachine } from './lab-kernel.ts'

const SEED = Number(process.env['IOASIS_SEED'] ?? 20261120)
/** For a longer run. */
const TIMES = Number(process.env['IOASIS_TIMES'] ?? 1)

function recorded(machine: string): readonly TraceScenario[] {
  const file = new URL(`testdata/traces/${machine}.jsonl.gz`, import.meta.resolve('@ioasis/testkit/package.json'))
  return readTraces(gunzipSync(readFileSync(fileURLToPath(file))).toString(), machine)
}

/** What no recording does with success. */
const PROGRAMS = [
  [
    'open iommu /dev/iommu',
    'mem buf 64k',
    'IOMMU_IOAS_ALLOC @iommu -> a=out_ioas_id',
    'IOMMU_IOAS_ALLOC @iommu -> b=out_ioas_id',
    'IOMMU_IOAS_MAP @iommu ioas_id=$a flags=FIXED|RW user_va=&buf length=0x2000 iova=0x1000000',
    'MOCK_CHECK_REFS @iommu length=0x2000 uptr=&buf refs=0',
    'MOCK_CHECK_REFS @iommu length=0x1000 uptr=&buf refs=0',
    'MOCK_CREATE_ACCESS @iommu id=$a flags=1 -> acc=out_access_fd',
    'MOCK_CREATE_ACCESS @iommu id=$b flags=0 -> acc2=out_access_fd',
    'MOCK_ACCESS_PAGES @iommu id=@acc iova=0x1000000 length=0x1000 uptr=&buf -> item=out_access_pages_id',
    'MOCK_DESTROY_ACCESS_PAGES @iommu id=@acc access_pages_id=$item',
    'MOCK_ACCESS_PAGES @iommu id=@acc iova=0x1001000 length=0x1000 uptr=&buf+0x1000 -> item=out_access_pages_id',
    'MOCK_DESTROY_ACCESS_PAGES @iommu id=@acc access_pages_id=$item',
    'MOCK_ACCESS_RW @iommu id=@acc iova=0x1000000 length=4 flags=1 data=hex:01020304',
    'MOCK_ACCESS_RW @iommu id=@acc iova=0x1000002 length=2 datalen=2',
    'MOCK_ACCESS_REPLACE @iommu id=@acc2 ioas_id=$a',
    'MOCK_ACCESS_REPLACE @iommu id=@acc2 ioas_id=$b',
    'MOCK_MEMORY_LIMIT @iommu limit=65536',
  ],
  [
    'open iommu /dev/iommu',
    'IOMMU_IOAS_ALLOC @iommu -> a=out_ioas_id',
    'MOCK_DOMAIN @iommu id=$a -> st=out_stdev_id hw=out_hwpt_id id=out_idev_id',
    'IOMMU_HWPT_ALLOC @iommu dev_id=$id pt_id=$a flags=IOMMU_HWPT_ALLOC_NEST_PARENT -> p=out_hwpt_id',
    'IOMMU_HWPT_ALLOC @iommu dev_id=$id pt_id=$p data_type=0xdead data=u32:7,0 -> n=out_hwpt_id',
    'MOCK_CHECK_IOTLB @iommu id=$n iotlb_id=1 iotlb=7',
    'MOCK_CHECK_IOTLB @iommu id=$n iotlb_id=0 iotlb=7',
    'MOCK_DMABUF_GET @iommu length=0x1000 open_flags=2 -> dma',
    'MOCK_DMABUF_REVOKE @iommu dmabuf_fd=@dma revoked=1',
    'MOCK_DMABUF_REVOKE @iommu dmabuf_fd=@dma revoked=0',
  ],
  [
    'open c /dev/vfio/vfio',
    'open g group:edu',
    'VFIO_GROUP_SET_CONTAINER @g container=@c',
    'VFIO_SET_IOMMU @c arg=3',
    'VFIO_IOMMU_DIRTY_PAGES @c flags=1',
    'VFIO_IOMMU_DIRTY_PAGES @c flags=1',
    'VFIO_IOMMU_DIRTY_PAGES @c flags=2',
  ],
]

/** What nothing can make succeed. */
const REFUSED = new Map([
  ['KVM_GET_DEVICE_ATTR', 'virt/kvm/vfio.c kvm_vfio_ops has no get_attr: EPERM, or what comes first'],
])

const RUNS = [
  { machine: 'intel.test', recordings: ['intel.type1', 'intel.test'], programs: PROGRAMS, calls: 164_000 },
  { machine: 'intel-sc.compat', recordings: ['intel-sc.compat'], programs: [], calls: 12_000 },
  { machine: 'noiommu.type1', recordings: ['noiommu.type1'], programs: [], calls: 12_000 },
  { machine: 'amd.type1', recordings: ['amd.type1'], programs: [], calls: 12_000 },
]
/** Machines that answer like these: what was recorded on them is reached as well. */
const ALIKE = ['intel-sc.type1', 'amd.compat']
const reports: HostileReport[] = []

const reached = (where: Statistics) => (pair: string) => {
  const [name = '', error = ''] = pair.split(' ')
  return where.of(name).errors.has(error)
}

describe.each(RUNS)('$machine', ({ machine, recordings, programs, calls }) => {
  test(
    'no call breaks a promise, and nothing is left when all is closed',
    () => {
      const report = runHostile({
        seed: SEED,
        calls: calls * TIMES,
        make: () => labTraceMachine(machine),
        scenarios: recordings.flatMap(recorded),
        programs,
        refused: REFUSED,
      })
      reports.push(report)
      const { statistics, rounds, audits, slow } = report
      console.log(`${machine}: ${statistics.calls} hostile calls in ${rounds} rounds, ${audits} audits, seed ${SEED}`)
      if (slow.length > 0) console.log(`slow:\n${slow.slice(0, 5).join('\n')}`)
      expect(report.failure).toBeUndefined()
    },
    240_000 * TIMES,
  )
})

describe('all of them', () => {
  const all = new Statistics()
  test('one call in five succeeds, of each command', () => {
    for (const { statistics } of reports) all.add(statistics)
    console.log(all.table)
    expect(all.calls).toBeGreaterThanOrEqual(200_000)
    const names = [...all.commands.keys()].filter((name) => !REFUSED.has(name))
    expect(names.filter((name) => all.share(name) < LEAST_SUCCESS).map((name) => `${name} ${all.share(name)}`)).toEqual(
      [],
    )
  })
  test('each error that was recorded for a command is reached', () => {
    const directed = new Statistics()
    for (const report of reports) directed.add(report.directed)
    const pairs = [
      ...reports.map(({ recorded: found }) => found),
      ...ALIKE.map((name) => recordedErrors(recorded(name))),
    ].flatMap((found) => [...found].flatMap(([name, errors]) => [...errors].map((error) => `${name} ${error}`)))
    const wanted = [...new Set(pairs)]
    const byChance = wanted.filter(reached(all))
    const others = wanted.filter((pair) => !byChance.includes(pair))
    console.log(`${wanted.length} pairs of command and error recorded, ${byChance.length} reached by hostile calls`)
    if (others.length > 0) console.log(`by recorded programs alone: ${others.join(', ')}`)
    expect(others.filter((pair) => !reached(directed)(pair))).toEqual([])
  })
})

/** A call that does what it should not. */
const plant = (run: (input: { id: number }) => { ret: number }): Plugin => ({
  name: 'planted',
  contract: 1,
  provides: [IoctlTable],
  setup: (host) => {
    const call = { ...IOMMU_DESTROY, name: 'IOMMU_PLANTED', number: IOMMU_DESTROY.number + 0x40 }
    host.provide(IoctlTable, {
      file: 'iommufd',
      convention: IOMMUFD_CONVENTION,
      rows: [{ call, run: (_, i) => run(i) }],
    })
  },
})
const attack = (plugin: Plugin): HostileReport =>
  runHostile({
    seed: 1,
    calls: 20_000,
    make: () => labTraceMachine('intel.test', { plugins: [plugin] }),
    scenarios: recorded('intel.test').slice(0, 12),
  })

describe('a host that breaks', () => {
  test('by an error that is no refusal is found, and the program that breaks it made short', () => {
    const { failure = '' } = attack(
      plant(({ id }) => {
        if (id >= 0x1000) throw new TypeError('planted')
        return { ret: 0 }
      }),
    )
    expect(failure).toMatch(/^seed \d+, round \d+, operation \d+: TypeError: planted/)
    expect(
      failure
        .slice(failure.indexOf('shorter'))
        .split('\n')
        .filter((line) => / = /.test(line)).length,
    ).toBeLessThan(12)
  }, 60_000)
})
