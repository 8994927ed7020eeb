/** Locked memory: counted in pages and held against RLIMIT_MEMLOCK. */
import { UapiError } from '../errno.ts'

/** One counter: `mm->locked_vm` of an address space, or `user->locked_vm` of a user. */
export class LockedPages {
  #pages = 0

  /** Pages charged now. */
  get pages(): number {
    return this.#pages
  }
  /**
   * Charges pages (mm/util.c __account_locked_vm).
   * @param limit pages allowed in all; Infinity without a limit, as for CAP_IPC_LOCK
   * @param operation for the message
   * @throws UapiError ENOMEM beyond the limit; nothing is charged then
   */
  charge(pages: number, limit: number, operation: string): void {
    if (this.#pages + pages > limit) throw new UapiError('ENOMEM', operation, { pages, locked: this.#pages, limit })
    this.#pages += pages
  }
  /** Gives pages back. @throws Error when more come back than were charged */
  uncharge(pages: number): void {
    if (pages > this.#pages) throw new Error(`locked pages: ${pages} come back of ${this.#pages}`)
    this.#pages -= pages
  }
}
