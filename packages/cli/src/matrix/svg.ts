/** The four boxes as a picture: who can send No Snoop, who is blocked, and where a guest's WBINVD has to reach the host. */
import type { CoherencyBox } from '@ioasis/core'
import type { MatrixRow } from './rows.ts'

const BOX = { width: 420, gap: 12, head: 64, line: 18, pad: 14 } as const
const MARGIN = { left: 150, top: 96 } as const
/** Where a box lies: column by what the IOMMU does, row by what the device can. */
const PLACES: Readonly<Record<CoherencyBox, { readonly column: number; readonly row: number }>> = {
  1: { column: 0, row: 0 },
  2: { column: 1, row: 0 },
  3: { column: 0, row: 1 },
  4: { column: 1, row: 1 },
}
const FILL: Readonly<Record<CoherencyBox, string>> = { 1: '#eef5ee', 2: '#eef5ee', 3: '#fbe9e7', 4: '#e8f0fb' }
const TITLES: Readonly<Record<CoherencyBox, string>> = {
  1: '1  coherent: nothing to block',
  2: '2  coherent: nothing to block, and it would be',
  3: '3  a hypervisor must honour the guest',
  4: '4  coherent: blocked by the IOMMU',
}

/** A complete SVG document. @param title the machine's name */
export function matrixSvg(title: string, rows: readonly MatrixRow[]): string {
  const heights = [0, 1].map((row) => boxHeight(rows, row))
  const width = MARGIN.left + 2 * BOX.width + BOX.gap + BOX.pad
  const height = MARGIN.top + (heights[0] ?? 0) + (heights[1] ?? 0) + 2 * BOX.gap + BOX.pad
  const boxes = ([1, 2, 3, 4] as const).map((box) => boxElement(box, rows, heights))
  const labels = [
    text(MARGIN.left, 34, 20, title, 'bold'),
    text(MARGIN.left + 8, 80, 14, 'IOMMU cannot block No Snoop, or there is none'),
    text(MARGIN.left + BOX.width + BOX.gap + 8, 80, 14, 'IOMMU blocks No Snoop'),
    text(BOX.pad, MARGIN.top + 34, 14, 'device cannot'),
    text(BOX.pad, MARGIN.top + 52, 14, 'send No Snoop'),
    text(BOX.pad, MARGIN.top + (heights[0] ?? 0) + BOX.gap + 34, 14, 'device can'),
    text(BOX.pad, MARGIN.top + (heights[0] ?? 0) + BOX.gap + 52, 14, 'send No Snoop'),
  ]
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...labels,
    ...boxes,
    '</svg>',
  ].join('\n')
}

const inBox = (rows: readonly MatrixRow[], box: CoherencyBox): readonly MatrixRow[] => rows.filter((r) => r.box === box)

/** Both boxes of a row are as high as the fuller one. */
function boxHeight(rows: readonly MatrixRow[], row: number): number {
  const boxes = ([1, 2, 3, 4] as const).filter((box) => PLACES[box].row === row)
  const most = Math.max(1, ...boxes.map((box) => inBox(rows, box).length))
  return BOX.head + most * BOX.line
}

function boxElement(box: CoherencyBox, rows: readonly MatrixRow[], heights: readonly number[]): string {
  const { column, row } = PLACES[box]
  const x = MARGIN.left + column * (BOX.width + BOX.gap)
  const y = MARGIN.top + (row === 0 ? 0 : (heights[0] ?? 0) + BOX.gap)
  const lines = inBox(rows, box).map((one, i) =>
    text(x + BOX.pad, y + BOX.head + i * BOX.line, 12, `${one.bdf}  ${one.what}  ${toldText(one)}`),
  )
  return [
    `<rect x="${x}" y="${y}" width="${BOX.width}" height="${heights[row] ?? 0}" rx="6" fill="${FILL[box]}" stroke="#888888"/>`,
    text(x + BOX.pad, y + 28, 15, TITLES[box], 'bold'),
    ...lines,
  ].join('\n')
}

function toldText({ kvm, wbinvd }: MatrixRow): string {
  if (typeof kvm === 'object') return `(not assignable: ${kvm.refused})`
  return `KVM: ${kvm}; WBINVD ${wbinvd === true ? 'reaches the host' : 'does nothing'}`
}

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const escaped = (value: string): string => value.replaceAll(/[&<>"]/g, (c) => ESCAPES[c] ?? c)
const text = (x: number, y: number, size: number, value: string, weight = 'normal'): string =>
  `<text x="${x}" y="${y}" font-size="${size}" font-weight="${weight}" xml:space="preserve">${escaped(value)}</text>`
