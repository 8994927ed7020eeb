/** Objects of a context: ids, who uses them, create-or-abort. drivers/iommu/iommufd/main.c. */
import { UapiError } from '@ioasis/core'

/** Something that has an id. */
export interface IommufdObject {
  readonly kind: 'ioas' | 'hwpt' | 'device' | 'access' | 'fault'
  /** Set when it is put into the table. */
  id: number
  /** Those who keep it from being destroyed, the table not counted. */
  users: number
  /** It is out of the table: undo what making it did. Never refused. */
  destroy(): void
}

/** The objects of one context: the lowest free number from 1 on. */
export class ObjectTable {
  readonly #slots: (IommufdObject | undefined)[] = [undefined]
  /** No number below is free. */
  #lowest = 1
  #size = 0

  get size(): number {
    return this.#size
  }
  /** All objects, by id. */
  get all(): readonly IommufdObject[] {
    return this.#slots.filter((object) => object !== undefined)
  }
  /** Gives an object its id. */
  add<T extends IommufdObject>(object: T): T {
    while (this.#slots[this.#lowest]) this.#lowest++
    object.id = this.#lowest++
    this.#slots[object.id] = object
    this.#size++
    return object
  }
  /** Makes an object that needs its id while it is made; when that fails, the id is free again. */
  create<T extends IommufdObject>(object: T, complete: (object: T) => void): T {
    this.add(object)
    try {
      complete(object)
    } catch (error) {
      this.#drop(object)
      throw error
    }
    return object
  }
  /** The object of that id, if there is one. */
  peek(id: number): IommufdObject | undefined {
    return this.#slots[id]
  }
  /** @throws UapiError ENOENT */
  get(id: number): IommufdObject {
    const object = this.#slots[id]
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
  /** The context ends: those that nobody uses first, until all are gone. */
  clear(): void {
    for (let left = this.all; left.length > 0; left = this.all) {
      const leaves = left.filter((object) => object.users === 0)
      if (leaves.length === 0) throw new Error('iommufd: objects keep each other from being destroyed')
      for (const object of leaves) this.destroyIfUnused(object)
    }
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
