/** Names and tokens by which a user may open a device. drivers/vfio/pci/vfio_pci_core.c vfio_pci_core_match, _match_token_uuid. */
import { EXT_CAP, type PciFunction, UapiError } from '@ioasis/core'

const OPTION = 'vf_token='
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/i
const UUID_LENGTH = 36

/**
 * The token that protects virtual functions from who has the physical one. Virtual functions are not modelled, so nobody uses it:
 * whoever opens a physical function with a token sets it.
 */
export class VfToken {
  readonly #fn: PciFunction
  #uuid: Uint8Array = new Uint8Array(16)

  constructor(fn: PciFunction) {
    this.#fn = fn
  }

  /** It is a physical function with an SR-IOV capability. */
  get present(): boolean {
    return this.#fn.extendedCapability(EXT_CAP.SRIOV) !== 0
  }
  get uuid(): Uint8Array {
    return this.#uuid
  }
  /** @param uuid 16 bytes */
  set uuid(uuid: Uint8Array) {
    this.#uuid = uuid.slice()
  }
  /** @throws UapiError EINVAL for a token that nobody asked for */
  check(uuid: Uint8Array | undefined): void {
    if (!uuid) return
    if (!this.present) throw new UapiError('EINVAL', 'vfio_pci_core_match_token_uuid', { function: this.#fn.name })
    this.uuid = uuid
  }
  /** Whether `text` is the function's name, with or without a token behind it. @throws UapiError EINVAL for other options */
  matches(text: string): boolean {
    const { name } = this.#fn
    if (!text.startsWith(name)) return false
    const options = text.slice(name.length)
    if (options !== '' && !options.startsWith(' ')) return false
    this.check(tokenIn(options))
    return true
  }
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
