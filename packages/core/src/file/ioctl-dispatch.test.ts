import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { TypeOf } from '../c-struct.ts'
import { UapiError } from '../errno.ts'
import type { Client } from './client.ts'
import { IoctlDispatch } from './ioctl-dispatch.ts'
import { _IO, ioctlNr } from './ioctl-number.ts'
import {
  ioctlCall,
  IOMMUFD_CONVENTION,
  type IoctlConvention,
  type IoctlRow,
  type IoctlTable,
  KVM_CONVENTION,
  VFIO_CONVENTION,
} from './ioctl-row.ts'
import { ArgToy, ret, rig, type Rig, Toy } from './rig.test-kit.ts'

const PAGE = 4096
const NUMBER = _IO(';', 0x85)

interface ToyFile {
  readonly log: string[]
}
const echo: IoctlRow<ToyFile, TypeOf<typeof Toy>> = {
  call: ioctlCall('TOY', NUMBER, Toy, 8),
  run: (file, { value }) => {
    file.log.push(`run ${value}`)
    return { ret: 5, out: { out_id: 7 } }
  },
  abort: (file, { out_id }) => file.log.push(`abort ${out_id}`),
}
const refuse = (): never => {
  throw new UapiError('EMSGSIZE', 'TOY', {}, { out_id: 42 })
}
const iommufd = (row: Partial<typeof echo> = {}): IoctlTable => ({
  file: 'toy',
  convention: IOMMUFD_CONVENTION,
  rows: [{ ...echo, ...row }],
})
type ArgRun = IoctlRow<ToyFile, TypeOf<typeof ArgToy>>['run']
const argEcho: ArgRun = (file, { value }) => {
  file.log.push(`run ${value}`)
  return { ret: 5, out: { out_id: 7 } }
}
const vfio = (minimum: number, run: ArgRun = argEcho, convention?: IoctlConvention): IoctlTable => ({
  file: 'toy',
  convention: VFIO_CONVENTION,
  rows: [{ call: ioctlCall('TOY', NUMBER, ArgToy, minimum), run, ...(convention && { convention }) }],
})

/** A page with nothing mapped behind it. */
function pageBeforeHole(client: Client): bigint {
  const page = client.mmap({ bytes: 2 * PAGE })
  client.munmap(page + BigInt(PAGE), PAGE)
  return page
}
/** One page, with the struct so that `room` bytes lie before its end; nothing is mapped behind. */
function atEdge({ client }: Rig, room: number, bytes: Uint8Array): bigint {
  const page = pageBeforeHole(client)
  const uva = page + BigInt(PAGE - room)
  client.poke(uva, bytes.subarray(0, room))
  return uva
}
function toyBytes(
  size: number,
  length: number,
  more: { readonly value?: bigint; readonly tail?: number } = {},
): Uint8Array {
  const bytes = new Uint8Array(Math.max(length, Toy.size))
  Toy.encode({ size, value: more.value ?? 0n }, bytes)
  if (more.tail !== undefined) bytes[more.tail] = 1
  return bytes.subarray(0, length)
}

describe('an ioctl by iommufd’s convention', () => {
  test('runs with the decoded struct and writes the answer back', () => {
    const r = rig(iommufd())
    const uva = r.client.put(toyBytes(24, 24, { value: 9n }))
    expect(r.client.ioctl(r.fd, NUMBER, uva)).toBe(5)
    expect([Toy.decode(r.client.peek(uva, 24)).out_id, r.file.log]).toEqual([7, ['run 9']])
  })
  test('of an unknown number is refused before the pointer is touched', () => {
    const r = rig(iommufd())
    expect(ret(() => r.client.ioctl(r.fd, _IO(';', 0x99), 0n))).toBe('ENOTTY')
  })
  test('of a known nr with another type or size reads the size first, where the file does so', () => {
    const sized = { ...IOMMUFD_CONVENTION, sizedFirst: { first: 0x80, last: 0x94 } }
    const r = rig({ ...iommufd(), convention: sized })
    const uva = r.client.put(toyBytes(24, 24))
    const other = _IO(':', ioctlNr(NUMBER))
    expect([ret(() => r.client.ioctl(r.fd, other, 0n)), ret(() => r.client.ioctl(r.fd, other, uva))]).toEqual([
      'EFAULT',
      'ENOTTY',
    ])
  })
  test('of a nr between two tables of one file reads the size first', () => {
    const at = (first: number): IoctlTable => {
      const { file } = iommufd()
      return { file, convention: { ...IOMMUFD_CONVENTION, sizedFirst: { first, last: first } }, rows: [] }
    }
    const calls = new IoctlDispatch([at(0x80), at(0xa0), { ...at(0), convention: IOMMUFD_CONVENTION }])
    const { client } = rig(iommufd())
    const caller = { process: client.process }
    expect(ret(() => calls.run({}, caller, _IO(';', 0x9f), 0n))).toBe('EFAULT')
    expect(ret(() => calls.run({}, caller, _IO(';', 0xa1), 0n))).toBe('ENOTTY')
  })
  test('reads a shorter struct with zeros behind it and writes back no more than was passed', () => {
    const r = rig(iommufd())
    const uva = r.client.put(Uint8Array.from([...toyBytes(8, 8), ...Array<number>(16).fill(0xee)]))
    expect(r.client.ioctl(r.fd, NUMBER, uva)).toBe(5)
    expect([r.file.log, r.client.peek(uva + 8n, 16).every((b) => b === 0xee)]).toEqual([['run 0'], true])
  })
  test('takes a longer struct while the tail is zero', () => {
    const r = rig(iommufd())
    expect(r.client.ioctl(r.fd, NUMBER, r.client.put(toyBytes(10_000, 10_000)))).toBe(5)
  })
  test('answers E2BIG for a byte of the tail before EFAULT for a later one that cannot be read', () => {
    const r = rig(iommufd())
    const marked = atEdge(r, 100, toyBytes(200, 100, { tail: 99 }))
    const clean = atEdge(r, 100, toyBytes(200, 100))
    expect([ret(() => r.client.ioctl(r.fd, NUMBER, marked)), ret(() => r.client.ioctl(r.fd, NUMBER, clean))]).toEqual([
      'E2BIG',
      'EFAULT',
    ])
  })
  test('answers EFAULT for a size that runs off the mapping', () => {
    const r = rig(iommufd())
    expect(ret(() => r.client.ioctl(r.fd, NUMBER, r.client.put(toyBytes(0xffff_ffff, 24))))).toBe('EFAULT')
  })
  test.each([
    ['null', 0n],
    ['a kernel address', 0xffff_8880_0000_0000n],
    ['the last address', 0xffff_ffff_ffff_fffcn],
    ['an address that is not mapped', 0x7f00_0000_1000n],
  ])('answers EFAULT for %s', (_what, arg) => {
    const r = rig(iommufd())
    expect(ret(() => r.client.ioctl(r.fd, NUMBER, arg))).toBe('EFAULT')
  })
  test('aborts what it made when the answer cannot be written', () => {
    const r = rig(iommufd())
    const uva = r.client.put(toyBytes(24, 24))
    r.client.process.addressSpace.protect(uva, PAGE, { read: true, write: false })
    expect([ret(() => r.client.ioctl(r.fd, NUMBER, uva)), r.file.log]).toEqual(['EFAULT', ['run 0', 'abort 7']])
  })
  test('writes back what a refusal carries', () => {
    const r = rig(iommufd({ run: refuse }))
    const answer = r.client.attempt(r.fd, echo.call, {})
    expect([answer.ret, answer.errno, answer.out.out_id]).toEqual([-1, 'EMSGSIZE', 42])
  })
  test('answers EFAULT in place of a refusal whose answer cannot be written', () => {
    const r = rig(iommufd({ run: refuse }))
    const uva = r.client.put(toyBytes(24, 24))
    r.client.process.addressSpace.protect(uva, PAGE, { read: true, write: false })
    expect(ret(() => r.client.ioctl(r.fd, NUMBER, uva))).toBe('EFAULT')
  })
  test('may be made again by the call itself', () => {
    const r = rig(iommufd())
    const inner = r.client.put(toyBytes(24, 24, { value: 2n }))
    const table = iommufd({
      run: (file, { value }, caller) => {
        if (value === 1n) file.log.push(`inner ${r.file.ioctl?.(caller, NUMBER, inner)}`)
        return { ret: 0, out: { out_id: Number(value) } }
      },
    })
    const dispatch = new IoctlDispatch([table])
    r.file.ioctl = (caller, number, arg) => dispatch.run(r.file, caller, number, arg)
    const outer = r.client.put(toyBytes(24, 24, { value: 1n }))
    r.client.ioctl(r.fd, NUMBER, outer)
    const ids = [outer, inner].map((uva) => Toy.decode(r.client.peek(uva, 24)))
    expect(ids.map((toy) => [toy.value, toy.out_id])).toEqual([
      [1n, 1],
      [2n, 2],
    ])
  })
})

/** What copy_struct_from_user answers, written down once more and simpler: over bytes of which the first `mapped` exist. */
function model(known: number, minimum: number, memory: Uint8Array, mapped: number): string | number {
  if (mapped < 4) return 'EFAULT'
  const size = new DataView(memory.buffer).getUint32(0, true)
  if (size < minimum) return 'EINVAL'
  const marked = memory.subarray(known, Math.min(size, mapped)).some((b) => b !== 0)
  if (size > known && marked) return 'E2BIG'
  return size > mapped ? 'EFAULT' : 5
}

test('any size, tail and end of memory is answered as copy_struct_from_user answers it', () => {
  const r = rig(iommufd())
  const page = pageBeforeHole(r.client)
  const sizes = fc.oneof(fc.integer({ min: 0, max: 120 }), fc.constantFrom(24, 23, 25, 0xffff_ffff))
  const cases = fc.record({
    size: sizes,
    mapped: fc.integer({ min: 0, max: 100 }),
    marks: fc.array(fc.integer({ min: 4, max: 119 }), { maxLength: 2 }),
  })
  fc.assert(
    fc.property(cases, ({ size, mapped, marks }) => {
      const memory = new Uint8Array(128)
      new DataView(memory.buffer).setUint32(0, size, true)
      for (const at of marks) memory[at] = 1
      const uva = page + BigInt(PAGE - mapped)
      r.client.poke(uva, memory.subarray(0, mapped))
      expect(ret(() => r.client.ioctl(r.fd, NUMBER, uva))).toBe(model(24, 8, memory, mapped))
    }),
    { seed: 7, numRuns: 600 },
  )
})

const argToy = (argsz: number, length = 24): Uint8Array => {
  const bytes = new Uint8Array(length).fill(0xee)
  new DataView(bytes.buffer).setUint32(0, argsz, true)
  return bytes
}

describe('an ioctl by VFIO’s convention', () => {
  test('reads its minimum before it looks at argsz', () => {
    const r = rig(vfio(16))
    expect([
      ret(() => r.client.ioctl(r.fd, NUMBER, atEdge(r, 12, argToy(4)))),
      ret(() => r.client.ioctl(r.fd, NUMBER, atEdge(r, 16, argToy(15)))),
    ]).toEqual(['EFAULT', 'EINVAL'])
  })
  test('reads nothing behind its minimum, whatever argsz says', () => {
    const r = rig(vfio(16, (_file, { out_id }) => ({ ret: out_id })))
    expect(r.client.ioctl(r.fd, NUMBER, atEdge(r, 16, argToy(0xffff_ffff)))).toBe(0)
  })
  test('leaves members behind its minimum alone unless it answers them', () => {
    const r = rig(vfio(8, () => ({ ret: 0, out: { flags: 1 } })))
    const uva = r.client.put(argToy(24))
    r.client.ioctl(r.fd, NUMBER, uva)
    expect([...r.client.peek(uva + 4n, 8)]).toEqual([1, 0, 0, 0, 0xee, 0xee, 0xee, 0xee])
  })
  test('writes back as much as argsz has room for', () => {
    const r = rig(vfio(8))
    const uva = r.client.put(argToy(18))
    r.client.ioctl(r.fd, NUMBER, uva)
    expect([...r.client.peek(uva + 16n, 4)]).toEqual([7, 0, 0xee, 0xee])
  })
  test('checks its tail where the row says so', () => {
    const r = rig(vfio(16, argEcho, { ...VFIO_CONVENTION, tail: 'E2BIG' }))
    expect(ret(() => r.client.ioctl(r.fd, NUMBER, r.client.put(argToy(40, 40))))).toBe('E2BIG')
  })
})

describe('an ioctl of fixed size', () => {
  const Fixed = { ...Toy, name: 'fixed' }
  test('reads and writes all of its struct', () => {
    const table: IoctlTable = {
      file: 'toy',
      convention: KVM_CONVENTION,
      rows: [{ ...echo, call: ioctlCall('TOY', NUMBER, Fixed) }],
    }
    const r = rig(table)
    const uva = r.client.put(toyBytes(0, 24, { value: 3n }))
    expect([r.client.ioctl(r.fd, NUMBER, uva), Toy.decode(r.client.peek(uva, 24)).out_id]).toEqual([5, 7])
    expect(ret(() => r.client.ioctl(r.fd, NUMBER, atEdge(r, 20, toyBytes(0, 20))))).toBe('EFAULT')
  })
})

describe('a table', () => {
  test('with two calls of one number is refused, naming both', () => {
    const other: IoctlTable = { ...iommufd(), rows: [{ ...echo, call: ioctlCall('OTHER', NUMBER, Toy) }] }
    expect(() => new IoctlDispatch([iommufd(), other])).toThrow('toy: OTHER has the number of TOY')
  })
  test('with a struct that does not begin with its size is refused', () => {
    const wrong: IoctlTable = { ...iommufd(), rows: [{ ...echo, call: ioctlCall('TOY', NUMBER, ArgToy) }] }
    expect(() => new IoctlDispatch([wrong])).toThrow('does not begin with size')
  })
  test('hands a call without a struct its argument as it is', () => {
    const table: IoctlTable = {
      file: 'toy',
      convention: VFIO_CONVENTION,
      rows: [{ call: ioctlCall('CHECK', NUMBER), run: (_file, _input, _caller, arg) => ({ ret: Number(arg) }) }],
    }
    const r = rig(table)
    expect(r.client.ioctl(r.fd, NUMBER, 9)).toBe(9)
  })
})
