/** Host memory that random DMA may reach, with a shadow copy that tells what must be in it. */
import { type Hpa, pageRuns, type PageRuns } from '@ioasis/core'
import type { DriverWorld } from '../driver-kit/world.ts'

/** Bytes of the pool: one large page and a few more. */
const POOL_BYTES = 4 << 20

/** The pool. */
export class TargetPool {
  readonly first: Hpa
  readonly bytes: number = POOL_BYTES
  readonly page: number
  readonly #world: DriverWorld
  readonly #shadow = new Uint8Array(POOL_BYTES)

  constructor(world: DriverWorld) {
    this.#world = world
    this.page = world.variant.pageSize
    this.first = world.pages.alloc(POOL_BYTES, 'targets of random DMA')
  }

  /** Scattered pages, chosen by two numbers. */
  runs(pages: number, a: number, b: number): PageRuns {
    const count = this.bytes / this.page
    const at = (i: number): Hpa => this.first + ((((a >>> 3) + Math.imul(i, b | 1)) >>> 0) % count) * this.page
    return pageRuns(...Array.from({ length: pages }, (_, i) => [at(i), this.page] as const))
  }
  /** One contiguous half of the pool, 2 MiB, aligned. */
  large(a: number): PageRuns {
    return pageRuns([this.first + (a & 1) * (this.bytes / 2), this.bytes / 2])
  }

  /** A DMA must have stored these bytes. */
  stored(hpa: Hpa, bytes: Uint8Array): void {
    this.#shadow.set(bytes, hpa - this.first)
  }
  /** What must be there. */
  expected(hpa: Hpa, bytes: number): Uint8Array {
    return this.#shadow.slice(hpa - this.first, hpa - this.first + bytes)
  }
  /** What is there, as a CPU sees it. */
  actual(hpa: Hpa, bytes: number): Uint8Array {
    const into = new Uint8Array(bytes)
    this.#world.cpus[0].read(hpa, into)
    return into
  }
  /** Gives the memory back. */
  free(): void {
    this.#world.pages.free(this.first, POOL_BYTES)
  }
}
