/** What a TCE table keeps beside its entries on both platforms: the user addresses they were made for, and who holds it. */
import { UserAddresses } from './user-addresses.ts'

/** Counts its holders (kref of `struct iommu_table`); made with one. */
export abstract class HeldWindow {
  readonly #platform: string
  readonly #users = new UserAddresses()
  #holders = 1

  /** @param platform for messages */
  constructor(platform: string) {
    this.#platform = platform
  }

  /** The last holder is gone: frees the tables. */
  protected abstract released(): void

  userAddress(index: number): number {
    return this.#users.get(index)
  }
  setUserAddress(index: number, uva: number): void {
    this.#users.set(index, uva)
  }
  hold(): void {
    this.#holders++
  }
  put(): void {
    if (--this.#holders > 0) return
    if (this.#holders < 0) throw new Error(`${this.#platform}: a window was let go more often than held`)
    this.released()
  }
}
