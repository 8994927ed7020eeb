/** What iommufd tells the audit: the pages its domains may reach, and counts that must agree. */
import { type AuditSource, type Claim, type IovaRange, PageRunList } from '@ioasis/core'
import type { IommufdContext } from './context.ts'
import { Ioas } from './ioas.ts'
import { expectedUsers } from './object-users.ts'
import type { Pages } from './pages.ts'

/** The open contexts of one host. */
export class Contexts implements AuditSource {
  readonly name = 'iommufd'
  readonly #open = new Set<IommufdContext>()

  add(context: IommufdContext): IommufdContext {
    this.#open.add(context)
    return context
  }
  delete(context: IommufdContext): void {
    this.#open.delete(context)
  }
  get size(): number {
    return this.#open.size
  }

  /** Every page an area covers in a domain is kept by a pin or a dma-buf; charges are what is pinned; users are those who use. */
  claims(near?: IovaRange): readonly Claim[] {
    const claims: Claim[] = []
    for (const context of this.#open) {
      const spaces = context.objects.all.filter((object) => object instanceof Ioas)
      for (const ioas of spaces) keptBy(ioas, near, claims)
      claims.push(...counts(context, spaces))
    }
    return claims
  }
}

function keptBy({ table }: Ioas, near: IovaRange | undefined, claims: Claim[]): void {
  const runs = new PageRunList()
  for (const domain of table.domains) {
    // A domain without areas keeps nothing, and must map nothing: an empty claim says that it is a user's.
    claims.push({ kind: 'kept', domain, source: 'pin', hpa: 0, bytes: 0n })
    for (const { first, last, value } of table.areas.within(near?.first, near?.last)) {
      const source = value.pages.kind === 'dma-buf' ? 'dma-buf' : 'pin'
      runs.clear()
      value.pages.collect(value.page, value.offset, Number(last - first + 1n), runs)
      for (let i = 0; i < runs.count; i++) {
        claims.push({
          kind: 'kept',
          domain,
          source,
          hpa: runs.hpa[i] as number,
          bytes: BigInt(runs.bytes[i] as number),
        })
      }
    }
  }
}

function counts(context: IommufdContext, spaces: readonly Ioas[]): readonly Claim[] {
  const holders = new Map<Pages, number>()
  for (const { table } of spaces) {
    for (const { value } of table.areas.within()) holders.set(value.pages, (holders.get(value.pages) ?? 0) + 1)
  }
  const pages = [...holders.keys()]
  const devices = context.objects.all.filter((object) => object.kind === 'device').length
  return [
    count('iommufd: holders of mapped pages', sum(pages.map((p) => p.holders)), sum([...holders.values()])),
    count('iommufd: pages pinned', sum(pages.map((p) => p.pinned)), sum(pages.map((p) => p.covered))),
    count('iommufd: devices in groups', sum([...context.groups.values()].map((g) => g.devices)), devices),
    ...[...expectedUsers(context)].map(([object, users]) =>
      count(`iommufd: users of ${object.kind} ${object.id}`, object.users, users),
    ),
  ]
}

const count = (what: string, actual: number, expected: number): Claim => ({ kind: 'count', what, actual, expected })
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)
