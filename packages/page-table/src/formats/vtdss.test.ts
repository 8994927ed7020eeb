import { describePageTableFormat } from '@ioasis/testkit/kits'
import { SIZES, testWorld } from '../world.test-kit.ts'
import { vtdss } from './vtdss.ts'

describePageTableFormat({
  name: 'VT-d second stage',
  geometries: {
    'three levels': () => testWorld(vtdss, { topLevel: 2, pageSizes: SIZES }),
    'four levels': () => testWorld(vtdss, { topLevel: 3, pageSizes: SIZES }),
    'four levels, 4 KiB pages only': () => testWorld(vtdss, { topLevel: 3, pageSizes: 1n << 12n }),
    'four levels behind a CPU cache': () =>
      testWorld(vtdss, { topLevel: 3, pageSizes: SIZES }, { cache: true, flushWrites: true }),
    'five levels, 4 KiB and 2 MiB pages': () => testWorld(vtdss, { topLevel: 4, pageSizes: SIZES & ~(1n << 30n) }),
  },
})
