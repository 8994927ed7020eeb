/** What units cache must be what the tables say, or be announced as stale; what the tables say must be kept by a source. */
import { type Claim, hex, MSI_WINDOW } from '@ioasis/core'

type Of<K extends Claim['kind']> = Extract<Claim, { kind: K }>
/** The claims of one kind. */
export const claimsOf = <K extends Claim['kind']>(claims: readonly Claim[], kind: K): readonly Of<K>[] =>
  claims.filter((c): c is Of<K> => c.kind === kind)

const overlap = (a: { iova: bigint; bytes: bigint }, b: { iova: bigint; bytes: bigint }): boolean =>
  a.iova < b.iova + b.bytes && b.iova < a.iova + a.bytes
const range = (c: { iova: bigint; bytes: bigint }): string => `iova ${hex(c.iova)} to ${hex(c.iova + c.bytes - 1n)}`

const nameOf = ({ unit, tag }: Of<'mapped'>): string =>
  unit === '' ? 'a domain on no unit' : `${unit} domain id ${tag}`

/** What a unit tells translations apart by. */
const tagOf = ({ unit, tag, pasid }: Pick<Of<'mapped'>, 'unit' | 'tag' | 'pasid'>): string =>
  `${unit} ${tag}${pasid === undefined ? '' : ` ${pasid}`}`

/** Leaves of each unit's domain ids, sorted by iova. */
class Leaves {
  readonly #of = new Map<string, Of<'mapped'>[]>()

  constructor(mapped: readonly Of<'mapped'>[]) {
    for (const leaf of mapped) {
      const key = tagOf(leaf)
      const list = this.#of.get(key)
      if (list) list.push(leaf)
      else this.#of.set(key, [leaf])
    }
    for (const list of this.#of.values()) list.sort((a, b) => (a.iova < b.iova ? -1 : 1))
  }
  /** The leaf that holds an iova. */
  at(of: Of<'cached'>, iova: bigint): Of<'mapped'> | undefined {
    const list = this.#of.get(tagOf(of)) ?? []
    let [low, high] = [0, list.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((list[middle] as Of<'mapped'>).iova <= iova) low = middle + 1
      else high = middle
    }
    const leaf = list[low - 1]
    return leaf && iova < leaf.iova + leaf.bytes ? leaf : undefined
  }
  /** @returns what is wrong with a cached translation; undefined: the tables say the same */
  contradicts(cached: Of<'cached'>): string | undefined {
    for (let at = cached.iova; at < cached.iova + cached.bytes;) {
      const leaf = this.at(cached, at)
      if (!leaf) return `no table maps ${hex(at)}`
      const [target, told] = [leaf.hpa + Number(at - leaf.iova), cached.hpa + Number(at - cached.iova)]
      if (target !== told) return `the tables lead ${hex(at)} to ${hex(target)}`
      if (leaf.write !== cached.write) return `the tables ${leaf.write ? 'allow' : 'forbid'} writing`
      at = leaf.iova + leaf.bytes
    }
    return undefined
  }
}

/** Cached translations against tables. */
export function cachesAgree(claims: readonly Claim[]): readonly string[] {
  const leaves = new Leaves(claimsOf(claims, 'mapped'))
  const stale = claimsOf(claims, 'stale')
  const through = new Set(
    claimsOf(claims, 'attached')
      .filter((a) => a.type === 'identity')
      .map((a) => `${a.unit} ${a.tag}`),
  )
  const wrong: string[] = []
  for (const cached of claimsOf(claims, 'cached')) {
    const { unit, tag } = cached
    if (through.has(`${unit} ${tag}`) && cached.iova === BigInt(cached.hpa)) continue
    const why = leaves.contradicts(cached)
    if (why === undefined) continue
    if (stale.some((s) => s.unit === unit && (s.tag ?? tag) === tag && overlap(s, cached))) continue
    wrong.push(`${unit} caches ${range(cached)} -> ${hex(cached.hpa)} for domain id ${tag}, but ${why}`)
  }
  return wrong
}

/** Pages that a user-owned domain maps against the sources that keep them. A domain without such sources is the kernel's own. */
export function targetsAreKept(claims: readonly Claim[]): readonly string[] {
  const kept = new Map<object, { first: number; end: number }[]>()
  for (const { domain, hpa, bytes } of claimsOf(claims, 'kept')) {
    const list = kept.get(domain) ?? []
    list.push({ first: hpa, end: hpa + Number(bytes) })
    kept.set(domain, list)
  }
  for (const [domain, list] of kept) kept.set(domain, merged(list))
  const wrong: string[] = []
  for (const leaf of claimsOf(claims, 'mapped')) {
    const list = kept.get(leaf.domain)
    const end = leaf.hpa + Number(leaf.bytes)
    if (!list || list.some((k) => k.first <= leaf.hpa && end <= k.end)) continue
    wrong.push(`${nameOf(leaf)} maps ${range(leaf)} to hpa ${hex(leaf.hpa)}, which no source keeps`)
  }
  return wrong
}
function merged(list: { first: number; end: number }[]): { first: number; end: number }[] {
  const whole: { first: number; end: number }[] = []
  for (const next of list.toSorted((a, b) => a.first - b.first)) {
    const last = whole.at(-1)
    if (last && next.first <= last.end) last.end = Math.max(last.end, next.end)
    else whole.push({ ...next })
  }
  return whole
}

/** Writes into the interrupt window are messages: a mapping there would never be reached, and must not exist. */
export function interruptWindowIsFree(claims: readonly Claim[]): readonly string[] {
  const window = { iova: BigInt(MSI_WINDOW.first), bytes: BigInt(MSI_WINDOW.last - MSI_WINDOW.first + 1) }
  return claimsOf(claims, 'mapped')
    .filter((leaf) => overlap(leaf, window))
    .map((leaf) => `${nameOf(leaf)} maps ${range(leaf)}, which lies in the interrupt window`)
}
