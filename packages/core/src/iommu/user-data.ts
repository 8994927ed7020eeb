/**
 * Data of a driver's own kind that a caller passes through a call which does not know it: include/linux/iommu.h struct
 * iommu_user_data, iommu_user_data_array, and the functions that copy them.
 *
 * Lent for the length of a call: whoever keeps one reads another program's memory later.
 */
import type { Uva } from '../address.ts'
import type { CStruct } from '../c-struct.ts'
import { UapiError } from '../errno.ts'
import { checkZeroed, readUser, writeUser } from '../file/user-memory.ts'
import type { Caller } from '../process/process.ts'

/** One struct. */
export class UserData {
  /** Says what it is: a number of the driver's uAPI. */
  readonly type: number
  /** Bytes that were passed. */
  readonly bytes: number
  readonly #caller: Caller
  readonly #uva: Uva

  constructor(caller: Caller, from: { readonly type: number; readonly uva: Uva; readonly bytes: number }) {
    this.#caller = caller
    this.#uva = from.uva
    this.type = from.type
    this.bytes = from.bytes
  }

  /**
   * iommu_copy_struct_from_user(): a shorter struct than the known one has zeros behind it.
   * @param type what it must be
   * @param minimum bytes of the struct's first version
   * @throws UapiError EINVAL for another type, too few or too many bytes; EFAULT
   */
  read<T>(struct: CStruct<T>, type: number, minimum: number = struct.size): T {
    this.#check(struct, type, minimum)
    const whole = new Uint8Array(struct.size)
    whole.set(readUser(this.#caller, this.#uva, this.bytes, struct.name))
    return struct.plain(whole)
  }
  /**
   * iommu_copy_struct_to_user(): the driver's answer goes where the data was, as far as there is room.
   * @throws UapiError as `read`
   */
  write<T>(struct: CStruct<T>, values: Partial<T>, type: number, minimum: number = struct.size): void {
    this.#check(struct, type, minimum)
    writeUser(this.#caller, this.#uva, struct.make(values).subarray(0, this.bytes), struct.name)
  }

  #check(struct: { readonly name: string; readonly size: number }, type: number, minimum: number): void {
    if (this.type !== type || this.bytes < minimum || this.bytes > struct.size) {
      throw new UapiError('EINVAL', struct.name, { type: this.type, bytes: this.bytes })
    }
  }
}

/** An array of structs of equal length: requests of one invalidation. */
export class UserDataArray {
  readonly type: number
  /** Entries. */
  readonly count: number
  /** Bytes from one to the next. */
  readonly entryBytes: number
  /** Entries dealt with, which is told to the caller also when one is refused: the driver counts. */
  done = 0
  readonly #caller: Caller
  readonly #uva: Uva

  constructor(
    caller: Caller,
    from: { readonly type: number; readonly uva: Uva; readonly entryBytes: number; readonly count: number },
  ) {
    this.#caller = caller
    this.#uva = from.uva
    this.type = from.type
    this.entryBytes = from.entryBytes
    this.count = from.count
  }

  /**
   * iommu_copy_struct_from_user_array(): one entry.
   * @throws UapiError as `UserData.read`
   */
  read<T>(struct: CStruct<T>, type: number, index: number, minimum: number = struct.size): T {
    if (index >= this.count) throw new UapiError('EINVAL', struct.name, { index })
    return this.#entry(index).read(struct, type, minimum)
  }
  /**
   * iommu_copy_struct_from_full_user_array(): all entries before any of them is looked at.
   * @throws UapiError EINVAL for another type or no entries; EFAULT; E2BIG when an entry is longer than the struct and not zero there
   */
  readAll<T>(struct: CStruct<T>, type: number): readonly T[] {
    const { size, name } = struct
    if (this.type !== type || this.count === 0) throw new UapiError('EINVAL', name, { type: this.type })
    const all: T[] = []
    // Entries of the struct's own size are copied at once: nothing is read when the last byte cannot be.
    const at = (index: number): Uva => this.#uva + BigInt(index) * BigInt(this.entryBytes)
    const bytes = this.entryBytes === size ? readUser(this.#caller, this.#uva, size * this.count, name) : undefined
    for (let i = 0; i < this.count; i++) {
      const entry = bytes?.subarray(i * size, (i + 1) * size) ?? this.#copyStruct(at(i), size, name)
      all.push(struct.plain(entry))
    }
    return all
  }

  #entry(index: number): UserData {
    const uva = this.#uva + BigInt(index) * BigInt(this.entryBytes)
    return new UserData(this.#caller, { type: this.type, uva, bytes: this.entryBytes })
  }
  /** copy_struct_from_user(): the tail is looked at before the rest is read. */
  #copyStruct(uva: Uva, size: number, name: string): Uint8Array {
    const whole = new Uint8Array(size)
    const known = Math.min(size, this.entryBytes)
    if (this.entryBytes > size) checkZeroed(this.#caller, uva + BigInt(size), this.entryBytes - size, name)
    whole.set(readUser(this.#caller, uva, known, name))
    return whole
  }
}
