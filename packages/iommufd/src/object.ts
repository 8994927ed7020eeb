/** Objects of a context: ids, who uses them, create-or-abort. drivers/iommu/iommufd/main.c. */
import { type FailurePoints, UapiError } from '@ioasis/core'

/** Something that has an id. */
export interface IommufdObject {
  /** enum iommufd_object_type; `foreign`: of a kind that rows of another package know. */
  readonly kind:
    | 'ioas'
    | 'hwpt-paging'
    | 'hwpt-nested'
    | 'device'
    | 'access'
    | 'fault'
    | 'viommu'
    | 'vdevice'
    | 'veventq'
    | 'hw-queue'
    | 'foreign'
  /** Set when it is put into the table. */
  id: number
  /** Those who keep it from being destroyed, the table not counted. */
  users: number
  /** It is out of the table: undo what making it did. Never refused. */
  destroy(): void
}

/** The object of an id that is in use is being made, or is gone and its id with it (XA_ZERO_ENTRY). */
const NOBODY = Symbol('nobody')

/** The objects of one context: the lowest free number from 1 on. */
export class ObjectTable {
  readonly #slots: (IommufdObject | typeof NOBODY | undefined)[] = [NOBODY]
  /** No number below is free. */
  #lowest = 1
  #size = 0
  readonly #failures: FailurePoints | undefined

  /** @param failures where making an object may fail */
  constructor(failures?: FailurePoints) {
    this.#failures = failures
  }

  /** Numbers in use, those of which the object is gone included. */
  get size(): number {
    return this.#size
  }
  /** All objects, by id. */
  get all(): readonly IommufdObject[] {
    return this.#slots.filter((slot) => slot !== undefined && slot !== NOBODY)
  }
  /** Gives an object its id; nobody finds it by that yet (iommufd_object_alloc). @throws UapiError ENOMEM */
  reserve(object: IommufdObject): void {
    this.#failures?.pass('iommufd object')
    this.#number(object)
  }
  /** It is found from now on (iommufd_object_finalize). */
  publish(object: IommufdObject): void {
    this.#slots[object.id] = object
  }
  /** Its id is free again (iommufd_object_abort). */
  abandon(object: IommufdObject): void {
    this.#drop(object)
  }
  /** An object that is made already, and keeps no other. @throws UapiError ENOMEM */
  add<T extends IommufdObject>(object: T): T {
    this.reserve(object)
    this.publish(object)
    return object
  }
  /**
   * Makes an object that takes hold of others, or needs its id while it is made.
   * @param make called when there is room for it
   * @param complete when that fails, the id is free again; it undoes what `make` did
   * @throws UapiError ENOMEM; what they throw
   */
  make<T extends IommufdObject>(make: () => T, complete: (object: T) => void = () => {}): T {
    this.#failures?.pass('iommufd object')
    const object = make()
    this.#number(object)
    try {
      complete(object)
    } catch (error) {
      this.#drop(object)
      throw error
    }
    this.publish(object)
    return object
  }
  /** The object of that id, if there is one. */
  peek(id: number): IommufdObject | undefined {
    const slot = this.#slots[id]
    return slot === NOBODY ? undefined : slot
  }
  /** @throws UapiError ENOENT */
  get(id: number): IommufdObject {
    const object = this.peek(id)
    if (!object) throw new UapiError('ENOENT', 'iommufd object', { id })
    return object
  }
  /** The object of that id and class. @throws UapiError ENOENT, for one of another class too */
  find<T extends IommufdObject>(id: number, kind: abstract new (...args: never[]) => T): T {
    const object = this.#slots[id]
    if (!(object instanceof kind)) throw new UapiError('ENOENT', 'iommufd object', { id })
    return object
  }
  /** IOMMU_DESTROY. @throws UapiError ENOENT, EBUSY */
  destroy(id: number): void {
    const object = this.get(id)
    if (object.users > 0) throw new UapiError('EBUSY', 'IOMMU_DESTROY', { id, users: object.users })
    this.#remove(object)
  }
  /** A user is done with an object that goes with its last one (an automatic HWPT), or with its only one (a device). */
  destroyIfUnused(object: IommufdObject): void {
    if (object.users === 0 && this.#slots[object.id] === object) this.#remove(object)
  }
  /**
   * Destroys an object whose id user space still holds: the number is not used again while the context lives
   * (iommufd_object_tombstone_user).
   */
  bury(object: IommufdObject): void {
    if (object.users > 0) throw new Error(`iommufd: object ${object.id} is used and must go`)
    this.#slots[object.id] = NOBODY
    object.destroy()
  }
  /** The context ends: those that nobody uses, by id, again and again until all are gone (iommufd_fops_release). */
  clear(): void {
    for (let left = this.all; left.length > 0; left = this.all) {
      for (const object of left) this.destroyIfUnused(object)
      if (this.all.length === left.length) throw new Error('iommufd: objects keep each other from being destroyed')
    }
  }

  #number(object: IommufdObject): void {
    while (this.#slots[this.#lowest]) this.#lowest++
    object.id = this.#lowest++
    this.#slots[object.id] = NOBODY
    this.#size++
  }
  #remove(object: IommufdObject): void {
    this.#drop(object)
    object.destroy()
  }
  #drop(object: IommufdObject): void {
    this.#slots[object.id] = undefined
    this.#size--
    if (object.id < this.#lowest) this.#lowest = object.id
  }
}
