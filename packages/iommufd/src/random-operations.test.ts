/** Seeded random programs: after every step the host is sound, and closing everything in any order leaves nothing. */
import type { BoundAccess, BoundDevice } from '@ioasis/core'
import { RandomSource } from '@ioasis/testkit'
import { expect, test } from 'vitest'
import { IOMMU_DESTROY, IOMMU_FAULT_QUEUE_ALLOC, IOMMU_IOAS_COPY, IOMMU_OPTION, U64_MAX } from './uapi.ts'
import { type DeviceName, errnoOf, World } from './world.test-kit.ts'

const STEPS = 300
const PAGE = 4096n

/** One program: what it has open, and its next step. */
class Program {
  readonly world: World
  readonly #random: RandomSource
  readonly #fds: number[] = []
  readonly #faults: number[] = []
  readonly #devices: BoundDevice[] = []
  readonly #accesses: { readonly access: BoundAccess; pins: { first: bigint; bytes: bigint }[] }[] = []
  readonly #memory: bigint

  constructor(seed: number) {
    this.world = new World({ choosy: ['00:02.0'], pasidBits: 4 })
    this.#random = new RandomSource(seed)
    this.#memory = this.world.memory(64)
    this.#fds.push(this.world.open(), this.world.open())
  }
  step(): string {
    const steps: Readonly<Record<string, () => void>> = {
      map: () => this.#map(),
      'map again': () => this.#map(),
      'map more': () => this.#map(),
      copy: () => this.#copy(),
      unmap: () => this.#unmap(),
      bind: () => this.#bind(),
      hwpt: () => this.#hwpt(),
      destroy: () => this.#destroy(),
      access: () => this.#access(),
      fault: () => this.#fault(),
      option: () => this.#option(),
      ...(this.#devices.length > 0 && {
        attach: () => this.#attach(),
        'attach again': () => this.#attach(),
        detach: () => this.#detach(),
      }),
      ...(this.#accesses.length > 0 && { pin: () => this.#pin() }),
    }
    const name = this.#random.pick(Object.keys(steps))
    errnoOf(() => steps[name]?.())
    return name
  }
  /** Closes everything, in an order of its own. */
  close(): void {
    const { client } = this.world
    const actions = [
      ...this.#devices.map((device) => () => device.unbind()),
      ...this.#accesses.map(({ access, pins }) => () => {
        for (const { first, bytes } of pins.splice(0)) access.unpin(first, bytes)
        access.unbind()
      }),
      ...[...this.#fds, ...this.#faults].map((fd) => () => client.close(fd)),
    ]
    while (actions.length > 0) {
      actions.splice(this.#random.below(actions.length), 1)[0]?.()
      this.world.audit()
    }
  }

  get #fd(): number {
    return this.#random.pick(this.#fds)
  }
  get #id(): number {
    return this.#random.below(12)
  }
  get #iova(): bigint {
    return BigInt(this.#random.below(128)) * PAGE
  }
  get #bytes(): bigint {
    return BigInt(1 + this.#random.below(8)) * PAGE
  }
  #map(): void {
    const at = this.#memory + BigInt(this.#random.below(70)) * PAGE
    if (this.#random.chance(1, 4)) this.world.ioas(this.#fd)
    this.world.map(this.#fd, this.#id, at, this.#bytes, this.#iova)
  }
  #copy(): void {
    const copy = { flags: 7, src_ioas_id: this.#id, dst_ioas_id: this.#id, length: this.#bytes }
    this.world.client.ioctl(this.#fd, IOMMU_IOAS_COPY, { ...copy, src_iova: this.#iova, dst_iova: this.#iova })
  }
  #unmap(): void {
    if (this.#random.chance(1, 4)) this.world.unmap(this.#fd, this.#id, 0n, U64_MAX)
    else this.world.unmap(this.#fd, this.#id, this.#iova, this.#bytes * 4n)
  }
  #bind(): void {
    if (this.#devices.length > 3 && this.#random.chance(1, 2)) {
      this.#devices.splice(this.#random.below(this.#devices.length), 1)[0]?.unbind()
    } else this.#devices.push(this.world.bind(this.#fd, this.#random.pick<DeviceName>(['a', 'b', 'c', 'd'])))
  }
  #attach(): void {
    const device = this.#random.pick(this.#devices)
    if (this.#random.chance(1, 4)) device.attach(this.#id, 1 + this.#random.below(3))
    else device.attach(this.#id)
  }
  #detach(): void {
    const device = this.#random.pick(this.#devices)
    if (this.#random.chance(1, 4)) device.detach(1 + this.#random.below(3))
    else device.detach()
  }
  #hwpt(): void {
    this.world.failMapAfter = this.#random.chance(1, 3) ? 1 + this.#random.below(4) : undefined
    this.world.hwpt(this.#fd, this.#id, this.#id, this.#random.pick([0, 8]))
  }
  #destroy(): void {
    this.world.client.ioctl(this.#fd, IOMMU_DESTROY, { id: this.#id })
  }
  #access(): void {
    const pins: { first: bigint; bytes: bigint }[] = []
    const access = this.world.access(this.#fd, {
      unmapped: () => {
        for (const { first, bytes } of pins.splice(0)) access.unpin(first, bytes)
      },
    })
    this.#accesses.push({ access, pins })
    access.attach(this.#id)
  }
  #pin(): void {
    const { access, pins } = this.#random.pick(this.#accesses)
    const [first, bytes] = [this.#iova, this.#bytes]
    if (this.#random.chance(1, 4)) access.attach(this.#id)
    access.pin(first, bytes, { write: true })
    pins.push({ first, bytes })
  }
  #fault(): void {
    this.#faults.push(this.world.client.ioctl(this.#fd, IOMMU_FAULT_QUEUE_ALLOC, {}).out_fault_fd)
  }
  #option(): void {
    const val64 = BigInt(this.#random.below(2))
    this.world.client.ioctl(this.#fd, IOMMU_OPTION, { option_id: 1, op: 0, object_id: this.#id, val64 })
  }
}

test.each([1, 2, 3, 4, 5, 6])('a random program with seed %i', (seed) => {
  const program = new Program(seed)
  for (let i = 0; i < STEPS; i++) {
    const name = program.step()
    expect(() => program.world.audit(), `seed ${seed} step ${i} ${name}`).not.toThrow()
  }
  program.close()
  expect(program.world.leavesNothing()).toEqual({ pins: 0, domains: 0, owners: 0, charged: 0 })
  program.world.host.close()
})
