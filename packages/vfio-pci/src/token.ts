/** Names and tokens by which a user may open a device. drivers/vfio/pci/vfio_pci_core.c vfio_pci_core_match, _match_token_uuid. */
import { type PciFunction, UapiError } from '@ioasis/core'

const OPTION = 'vf_token='
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/i
const UUID_LENGTH = 36
const WHAT = 'vfio_pci_core_match_token_uuid'

/**
 * The secret that users of a physical function and of its virtual ones share: it belongs to the physical function, and who opens
 * that one first may set it.
 */
export class VfToken {
  /** Opened virtual functions. */
  users = 0
  #uuid: Uint8Array

  /** @param seed the first token follows from it: nobody is told, and nothing here is random */
  constructor(seed: number) {
    this.#uuid = firstToken(seed)
  }

  /** @param uuid 16 bytes */
  set(uuid: Uint8Array): void {
    this.#uuid = uuid.slice()
  }
  is(uuid: Uint8Array): boolean {
    return this.#uuid.every((byte, i) => byte === uuid[i])
  }
}

/** Who opens a device, and what he must show. */
export interface TokenSide {
  readonly fn: PciFunction
  /** A physical function's own. */
  readonly own: VfToken | undefined
  /** A virtual function's: that of its physical function, if this driver made it. */
  readonly physical: VfToken | undefined
}

/** @param uuid 16 bytes; undefined: none was shown @throws UapiError EACCES, EINVAL for a token that nobody asked for */
export function checkToken({ fn, own, physical }: TokenSide, uuid: Uint8Array | undefined): void {
  const context = { function: fn.name }
  if (fn.virtfn ? physical === undefined : own === undefined) {
    if (uuid) throw new UapiError('EINVAL', WHAT, context)
    return
  }
  const asked = fn.virtfn ? physical : (own?.users ?? 0) > 0 ? own : undefined
  if (asked && !(uuid && asked.is(uuid))) throw new UapiError('EACCES', WHAT, context)
  if (!asked && uuid) own?.set(uuid)
}

/** Whether `text` is the function's name, with or without a token behind it. @throws UapiError EINVAL for other options, and as `checkToken` */
export function matchesName(side: TokenSide, text: string): boolean {
  const { name } = side.fn
  if (!text.startsWith(name)) return false
  const options = text.slice(name.length)
  if (options !== '' && !options.startsWith(' ')) return false
  checkToken(side, tokenIn(options))
  return true
}

function tokenIn(options: string): Uint8Array | undefined {
  let uuid: Uint8Array | undefined
  for (let rest = options; rest !== '';) {
    if (rest.startsWith(' ')) {
      rest = rest.slice(1)
      continue
    }
    const text = rest.slice(OPTION.length)
    if (uuid || !rest.startsWith(OPTION) || !UUID.test(text))
      throw new UapiError('EINVAL', 'vfio_pci_core_match', { options })
    const hex = text.slice(0, UUID_LENGTH).replaceAll('-', '')
    uuid = Uint8Array.from({ length: 16 }, (_, i) => parseInt(hex.slice(2 * i, 2 * i + 2), 16))
    rest = text.slice(UUID_LENGTH)
  }
  return uuid
}

/** A version 4 UUID in place of uuid_gen(). */
function firstToken(seed: number): Uint8Array {
  let state = Math.imul(seed + 1, 0x9e37_79b1)
  const uuid = Uint8Array.from({ length: 16 }, () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state & 0xff
  })
  uuid[6] = ((uuid[6] as number) & 0x0f) | 0x40
  uuid[8] = ((uuid[8] as number) & 0x3f) | 0x80
  return uuid
}
