import { bitsOf } from '@ioasis/core'
import { expect, test } from 'vitest'
import { CAP, ECAP } from './capabilities.ts'
import { CCMD, FRCD, IOTLB } from './registers.ts'
import { SS } from './second-stage.ts'

/** Numbers of drivers/iommu/intel/iommu.h: DMA_PTE_READ and so on. */
test('entry bits are where Linux has them', () => {
  expect([SS.R, SS.W, SS.PS, SS.SNP].map(bitsOf)).toEqual([0x1, 0x2, 0x80, 0x800])
  expect([SS.D.lo, SS.TM.lo]).toEqual([9, 62])
})
test('capability and command fields are where Linux has them', () => {
  expect([CAP.SAGAW, CAP.MGAW, CAP.SSLPS, CAP.PSI, CAP.NFR, CAP.MAMV].map((f) => f.lo)).toEqual([8, 16, 34, 39, 40, 48])
  expect([ECAP.QI, ECAP.SC, ECAP.IRO, ECAP.MHMV, ECAP.SMTS].map((f) => f.lo)).toEqual([1, 7, 8, 20, 43])
  expect([CCMD.SID.lo, CCMD.FM.lo, CCMD.CIRG.lo, CCMD.ICC.lo]).toEqual([16, 32, 61, 63])
  expect([IOTLB.DID.lo, IOTLB.IAIG.lo, IOTLB.IIRG.lo, IOTLB.IVT.lo]).toEqual([32, 57, 60, 63])
  expect([FRCD.FR.lo, FRCD.PV.lo, FRCD.AT.lo, FRCD.T1.lo, FRCD.F.lo]).toEqual([32, 40, 60, 62, 63])
})
