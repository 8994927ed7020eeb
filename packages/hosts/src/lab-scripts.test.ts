/** The lab machines told apart, and what no recording here shows: expectations are the kernel's source. */
import { Pages } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { LAB_KERNELS, labHost } from './lab-kernel.ts'
import { LAB_MACHINES } from './lab.ts'
import { answersOf, bound, playScript, textsOf } from './script.test-kit.ts'

describe.each(LAB_MACHINES)('%s', (machine) => {
  test.each(LAB_KERNELS)('runs kernel %s, and everything is given back', (kernel) => {
    const host = labHost(`${machine}.${kernel}`)
    const pages = host.get(Pages)
    host.close()
    expect(pages.allocated).toBe(0)
  })
})

const ENDS = [0xfedff000n, 0xfee00000n, 0x7ffffff000n, 0x8000000000n, 0xfffffffff000n, 0x1000000000000n, ~0xfffn]
const atEnds = ENDS.map(
  (iova) =>
    `IOMMU_IOAS_MAP @iommu ioas_id=$a flags=FIXED|RW user_va=&buf length=0x1000 iova=0x${BigInt.asUintN(64, iova).toString(16)}`,
).join('\n')

const ends = (machine: string): readonly string[] =>
  answersOf(
    playScript(machine, `${bound('edu')}\nmem buf 64k\nVFIO_DEVICE_ATTACH_IOMMUFD_PT @dev pt_id=$a\n${atEnds}`),
    'IOMMU_IOAS_MAP',
  )

describe('where an IOAS ends once a device is attached', () => {
  test('VT-d of 48 bits: below 2^48, not in the interrupt window', () => {
    expect(ends('intel-sc.type1')).toEqual(['ok', 'EINVAL', 'ok', 'ok', 'ok', 'EINVAL', 'EINVAL'])
  })
  test('VT-d of 39 bits: below 2^39', () => {
    expect(ends('intel-aw39.type1')).toEqual(['ok', 'EINVAL', 'ok', 'EINVAL', 'EINVAL', 'EINVAL', 'EINVAL'])
  })
  test('AMD-Vi: everywhere but in its windows', () => {
    expect(ends('amd.type1')).toEqual(['ok', 'EINVAL', 'ok', 'ok', 'ok', 'ok', 'ok'])
  })
})

test('sub-page maps are refused while a device is attached, and fine again without', () => {
  const played = playScript(
    'intel.type1',
    `${bound('edu')}
     mem buf 64k
     VFIO_DEVICE_ATTACH_IOMMUFD_PT @dev pt_id=$a
     IOMMU_IOAS_MAP @iommu ioas_id=$a flags=FIXED|RW user_va=&buf length=0x800 iova=0x10000
     IOMMU_IOAS_MAP @iommu ioas_id=$a flags=FIXED|RW user_va=&buf+0x800 length=0x1000 iova=0x10800
     VFIO_DEVICE_DETACH_IOMMUFD_PT @dev
     IOMMU_IOAS_MAP @iommu ioas_id=$a flags=FIXED|RW user_va=&buf+0x800 length=0x800 iova=0x10800`,
  )
  expect(answersOf(played, 'IOMMU_IOAS_MAP')).toEqual(['EINVAL', 'EINVAL', 'ok'])
})

test('memory that a process may only read: pinned for reading, refused for writing', () => {
  const played = playScript(
    'intel.type1',
    `${bound('edu')}
     mem ro 64k ro
     VFIO_DEVICE_ATTACH_IOMMUFD_PT @dev pt_id=$a
     IOMMU_IOAS_MAP @iommu ioas_id=$a flags=FIXED|RW user_va=&ro length=0x1000 iova=0x100000
     IOMMU_IOAS_MAP @iommu ioas_id=$a flags=FIXED|WR user_va=&ro length=0x1000 iova=0x100000
     env
     IOMMU_IOAS_MAP @iommu ioas_id=$a flags=FIXED|RD user_va=&ro length=0x1000 iova=0x100000
     env`,
  )
  expect(answersOf(played, 'IOMMU_IOAS_MAP')).toEqual(['EFAULT', 'EFAULT', 'ok'])
  expect(played.filter(({ op }) => op === 'env').map(({ out }) => out['memlock_pinned_kb'])).toEqual([0, 4])
})

/** The edu function moves bytes: 1 from memory into itself, 3 back. */
const dma = (from: string, to: string, command: number): string => `
   pwrite @dev 0 0x80 u32:${from}
   pwrite @dev 0 0x88 u32:${to}
   pwrite @dev 0 0x98 u32:${command}
   sleep_ms 300`

test('a read-only IOVA gives its bytes to the device and keeps them', () => {
  const played = playScript(
    'amd.type1',
    `${bound('edu')}
     mem src 4096
     mem dst 4096
     fill &src 16 0x77
     VFIO_DEVICE_ATTACH_IOMMUFD_PT @dev pt_id=$a
     IOMMU_IOAS_MAP @iommu ioas_id=$a flags=FIXED|RD user_va=&src length=0x1000 iova=0x600000
     IOMMU_IOAS_MAP @iommu ioas_id=$a flags=FIXED|RW user_va=&dst length=0x1000 iova=0x200000
     pwrite @dev 7 4 u16:6
     pwrite @dev 0 0x90 u32:16
     ${dma('0x600000', '0x40000', 1)}
     ${dma('0x40000', '0x200000', 3)}
     peek &dst 4
     fill &src 16 0x11
     ${dma('0x40000', '0x600000', 3)}
     peek &src 4
     ${dma('0x900000', '0x40000', 1)}
     ${dma('0x40000', '0x200000', 3)}
     peek &dst 4`,
  )
  const seen = played.filter(({ op }) => op === 'peek').map(({ out }) => out['data'])
  expect(seen).toEqual(['77777777', '11111111', '00000000'])
})

test('a PASID is an id of vfio’s own before it is looked at by the unit', () => {
  const script = `${bound('rng')}
     IOMMU_HWPT_ALLOC @iommu dev_id=$id pt_id=$a flags=IOMMU_HWPT_ALLOC_PASID -> h=out_hwpt_id
     VFIO_DEVICE_ATTACH_IOMMUFD_PT @dev pt_id=$h
     VFIO_DEVICE_ATTACH_IOMMUFD_PT @dev pt_id=$h flags=1 pasid=1
     VFIO_DEVICE_ATTACH_IOMMUFD_PT @dev pt_id=$h flags=1 pasid=0
     VFIO_DEVICE_ATTACH_IOMMUFD_PT @dev pt_id=$h flags=1 pasid=0x80000000
     VFIO_DEVICE_ATTACH_IOMMUFD_PT @dev pt_id=$a flags=1 pasid=2
     VFIO_DEVICE_ATTACH_IOMMUFD_PT @dev pt_id=$h flags=1 argsz=12
     VFIO_DEVICE_DETACH_IOMMUFD_PT @dev flags=1 pasid=1
     VFIO_DEVICE_DETACH_IOMMUFD_PT @dev flags=1 pasid=77
     VFIO_DEVICE_DETACH_IOMMUFD_PT @dev flags=1 argsz=8`
  const intel = playScript('intel.type1', script)
  expect(answersOf(intel, 'VFIO_DEVICE_ATTACH_IOMMUFD_PT')).toEqual(['ok', 'ok', 'EBUSY', 'ENOSPC', 'EINVAL', 'EINVAL'])
  expect(answersOf(intel, 'VFIO_DEVICE_DETACH_IOMMUFD_PT')).toEqual(['ok', 'ok', 'EINVAL'])
  const amd = playScript('amd-xt.compat', script)
  expect(answersOf(amd, 'IOMMU_HWPT_ALLOC')).toEqual(['EOPNOTSUPP'])
  expect(answersOf(amd, 'VFIO_DEVICE_ATTACH_IOMMUFD_PT')).toEqual([
    'ENOENT',
    'ENOENT',
    'ENOENT',
    'ENOSPC',
    'EINVAL',
    'EINVAL',
  ])
})

test('two descriptors of one iommufd have one context, whichever was first', () => {
  const played = playScript(
    'noiommu.type1',
    `open iommu /dev/iommu
     IOMMU_IOAS_ALLOC @iommu -> a=out_ioas_id
     dup @iommu -> two
     IOMMU_IOAS_ALLOC @two -> b=out_ioas_id
     close @iommu
     IOMMU_DESTROY @two id=$a
     dup three @two
     IOMMU_DESTROY @three id=$b`,
  )
  expect(played.map(({ errno }) => errno)).toEqual(played.map(() => null))
  expect(played[3]?.out).toEqual({ out_ioas_id: 2 })
})

test('a process may hand its files to another while no map names its own memory', () => {
  const played = playScript(
    'intel.compat',
    `open iommu /dev/iommu
     IOMMU_IOAS_ALLOC @iommu -> a=out_ioas_id
     memfd mf 64k
     mem buf 64k
     IOMMU_IOAS_MAP_FILE @iommu ioas_id=$a flags=FIXED|RW fd=@mf start=0 length=64k iova=0x100000
     IOMMU_IOAS_CHANGE_PROCESS @iommu
     IOMMU_IOAS_CHANGE_PROCESS @iommu __reserved=1
     IOMMU_IOAS_MAP @iommu ioas_id=$a flags=FIXED|RW user_va=&buf length=0x1000 iova=0x200000
     IOMMU_IOAS_CHANGE_PROCESS @iommu`,
  )
  expect(answersOf(played, 'IOMMU_IOAS_CHANGE_PROCESS')).toEqual(['ok', 'EOPNOTSUPP', 'EINVAL'])
})

test('type1 v1 on an iommufd: maps are cut where an unmap begins and ends', () => {
  const played = playScript(
    'amd-pt.compat',
    `open iommu /dev/iommu
     open grp group:edu
     mem buf 64k
     VFIO_GROUP_SET_CONTAINER @grp container=@iommu
     VFIO_SET_IOMMU @iommu arg=VFIO_TYPE1_IOMMU
     VFIO_GROUP_GET_DEVICE_FD @grp name=bdf:edu -> dev
     VFIO_IOMMU_MAP_DMA @iommu flags=3 vaddr=&buf iova=0x100000 length=0x10000
     VFIO_IOMMU_UNMAP_DMA @iommu iova=0x104000 length=0x4000
     VFIO_IOMMU_UNMAP_DMA @iommu iova=0x103000 length=0x6000
     VFIO_IOMMU_UNMAP_DMA @iommu iova=0x100800 length=0x1000
     VFIO_IOMMU_UNMAP_DMA @iommu iova=0 length=0x200000`,
  )
  const unmaps = played.filter(({ op }) => op === 'VFIO_IOMMU_UNMAP_DMA')
  expect(unmaps.map(({ errno, out }) => errno ?? out['length'])).toEqual(['0x4000', '0x2000', 'EINVAL', '0xa000'])
})

test('an emulated device in a container: what it did not pin is clean, to whole words; no page is pinned for it', () => {
  const played = playScript(
    'amd-xt.type1',
    `mdev t mtty-1 83b8f4f2-509f-382f-3c1e-e6bfe0fa1003
     open cont /dev/vfio/vfio
     open grp mgroup:t
     VFIO_GROUP_SET_CONTAINER @grp container=@cont
     VFIO_SET_IOMMU @cont arg=VFIO_TYPE1v2_IOMMU
     mem buf 64k
     mem bits 4096
     fill &bits 8 0xff
     VFIO_IOMMU_MAP_DMA @cont flags=3 vaddr=&buf iova=0xfee00000 length=0x10000
     env
     VFIO_IOMMU_DIRTY_PAGES @cont flags=1
     VFIO_IOMMU_DIRTY_PAGES @cont flags=4 data=u64:0xfee00000,0x10000,4096,8,&bits
     peek &bits 8
     VFIO_IOMMU_UNMAP_DMA @cont flags=VFIO_DMA_UNMAP_FLAG_VADDR iova=0xfee00000 length=0x10000
     sysfs_w /sys/bus/mdev/devices/83b8f4f2-509f-382f-3c1e-e6bfe0fa1003/remove 1`,
  )
  expect(answersOf(played, 'VFIO_IOMMU_DIRTY_PAGES')).toEqual(['ok', 'ok'])
  expect(answersOf(played, 'VFIO_IOMMU_UNMAP_DMA')).toEqual(['EBUSY'])
  expect(played.find(({ op }) => op === 'env')?.out['memlock_pinned_kb']).toBe(0)
  expect(played.find(({ op }) => op === 'peek')?.out['data']).toBe('0000000000000000')
})

describe('the AMD-Vi entry of a function', () => {
  const AT = '/sys/kernel/debug/iommu/amd'
  const WORDS = /^0000:00:01\.0 (\S+) (\S+) (\S+) (\S+) iommu0$/m
  const words = (text: string): readonly string[] => WORDS.exec(text)?.slice(1) ?? []
  test('three levels and both permissions while a domain is attached, nothing but valid while none is', () => {
    const played = playScript(
      'amd.type1',
      `sysfs_w ${AT}/devid 0000:00:01.0
       sysfs_r ${AT}/devtbl
       ${bound('edu')}
       sysfs_r ${AT}/devtbl
       VFIO_DEVICE_ATTACH_IOMMUFD_PT @dev pt_id=$a
       sysfs_r ${AT}/devtbl
       close @dev
       sysfs_r ${AT}/devtbl`,
    )
    const [before = [], parked = [], attached = [], after = []] = textsOf(played).map(words)
    expect(parked).toEqual(['0', '1', '0', '1'].map((word) => word.padStart(16, '0')))
    expect(attached[3]).toMatch(/^6[0-9a-f]{12}603$/)
    expect(attached.slice(0, 2)).toEqual(parked.slice(0, 2))
    expect(after).toEqual(before)
    expect(before[3]).toMatch(/^6[0-9a-f]{12}603$/)
  })
  test('the interrupt table comes with the first vectors, and stays', () => {
    const played = playScript(
      'amd.compat',
      `${bound('edu')}
       eventfd ev
       sysfs_w ${AT}/devid 00:01.0
       sysfs_r ${AT}/irqtbl
       VFIO_DEVICE_SET_IRQS @dev flags=D_EVENTFD|A_TRIGGER index=IRQ_MSI start=0 count=1 data=fd:@ev
       pwrite @dev 7 4 u16:6
       pwrite @dev 0 0x60 u32:1
       eventfd_read @ev 10
       sysfs_r ${AT}/irqtbl
       close @dev
       sysfs_r ${AT}/irqtbl
       sysfs_r ${AT}/devtbl`,
    )
    const [none, used = '', table, entry = ''] = textsOf(played)
    expect(none).toBe('IRQ lookup table not set for 0000:00:01:0')
    expect(played.find(({ op }) => op === 'eventfd_read')?.out['count']).toBe(1)
    // The entry of the one vector, and none once it is given back.
    expect(used).toMatch(/^DeviceId 0000:00:01\.0\nIRT\[\d{4}\] 0{14}[0-9a-f]{2} 0{15}1\n?$/)
    expect(table).toBe('DeviceId 0000:00:01.0')
    expect(words(entry)[1]).toMatch(/^2[0-9a-f]{13}13$/)
  })
})

test('Debian’s kernel shows no tables of IOMMU drivers, and opens devices through their groups', () => {
  const played = playScript(
    'intel-sc.debian',
    `sysfs_r /sys/kernel/debug/iommu/intel/iommu_regset
     open iommu /dev/iommu
     open dev cdev:edu
     opendev edu edu
     VFIO_DEVICE_GET_INFO @edu`,
  )
  expect(played.map(({ errno }) => errno)).toEqual(['ENOENT', 'ENOENT', 'ENOENT', null, null])
  expect(played[3]?.out).toEqual({ via: 'group' })
  expect(answersOf(playScript('amd.debian', 'sysfs_r /sys/kernel/debug/iommu/amd/devid'), 'sysfs_read')).toEqual([
    'ENOENT',
  ])
})

test('a function that does not stand there has no driver', () => {
  expect(playScript('noiommu.debian', 'alias vf0 0000:05:10.0')[0]?.out).toEqual({ driver: 'none' })
})
