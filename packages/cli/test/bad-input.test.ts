/** Bad input: one line that names file, line or value; nothing half composed. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createHost, type Plugin, Sysfs, type SysfsTree, token } from '@ioasis/core'
import { dmaEngine, edu } from '@ioasis/devices'
import { describeMachine, LAB_MACHINES, machineHost, parseLspci } from '@ioasis/hosts'
import { describe, expect, test } from 'vitest'
import { Folder, ioasis, refusal, ROOT } from './command.test-kit.ts'

const DUMP = readFileSync(join(ROOT, 'packages/cli/test/small.lspci.txt'), 'utf8')

interface Device {
  bdf: string
  driver: null
  group: null
  attrs: object
  files: string[]
  path: string
  config: string
  resource: string[]
}
interface MachineFile {
  machine: string
  devices: Device[]
}
/** A function on the root bus with one BAR. */
const device = (bdf: string, bar: number): Device => ({
  bdf,
  driver: null,
  group: null,
  path: `/sys/devices/pci0000:00/${bdf}`,
  attrs: {},
  files: [],
  resource: [`0x${bar.toString(16)} 0x${(bar + 0xfff).toString(16)} 0x40200`],
  config: `34120100${'00'.repeat(12)}${Buffer.of(0, bar >>> 8, bar >>> 16, bar >>> 24).toString('hex')}`.padEnd(
    512,
    '0',
  ),
})

/** A small machine file: two such functions. */
function machineFile(change: (file: MachineFile) => void = () => undefined): string {
  const file = {
    machine: 'mine',
    origin: 'written by hand',
    devices: [device('0000:00:01.0', 0xfe80_0000), device('0000:00:02.0', 0xfe80_1000)],
    groups: [],
    iomem: ['00100000-03ffffff : System RAM'],
    acpi: {},
    iommuClass: [],
  }
  change(file)
  return JSON.stringify(file, null, 1)
}

/** What `ioasis groups` says to a text. */
async function groups(name: string, text: string): Promise<readonly [answer: unknown, path: string]> {
  using folder = new Folder()
  const path = folder.write(name, text)
  return [await ioasis(['groups', path]), path]
}

describe('a machine file', () => {
  test('that is good composes', async () => {
    expect((await groups('mine.json', machineFile()))[0]).toMatchObject({ code: 0, stderr: '' })
  })
  test('with a comma too many is refused at its line and column', async () => {
    const [answer, path] = await groups('mine.json', machineFile().replace('"written by hand",', '"written by hand",,'))
    expect(answer).toEqual(refusal(`${path}:3:30: not JSON`))
  })
  test('that ends too early is refused where it ends', async () => {
    const text = machineFile()
    const cut = text.slice(0, text.indexOf('"resource"'))
    const [answer, path] = await groups('mine.json', cut)
    const lines = cut.split('\n')
    expect(answer).toEqual(refusal(`${path}:${lines.length}:${(lines.at(-1) as string).length + 1}: not JSON`))
  })
  test.each<[string, (file: MachineFile) => unknown, string]>([
    [
      'a wrong field',
      ({ devices: [first] }) => ((first as Device).config = 'abc'),
      ': 0000:00:01.0: "config" is "3 digits"; 512 or 8192 digits (256 or 4096 bytes) are needed',
    ],
    [
      'a doubled BDF',
      ({ devices: [first, second] }) => Object.assign(second as Device, { bdf: first?.bdf, path: first?.path }),
      ': 0000:00:01.0: described twice',
    ],
    [
      'overlapping BARs',
      ({ devices: [first, second] }) =>
        Object.assign(second as Device, { config: first?.config, resource: first?.resource }),
      ': 0000:00:02.0: BAR 0 at 0xfe800000 overlaps BAR 0 of 0000:00:01.0 at 0xfe800000-0xfe800fff',
    ],
    ['no devices', (file) => Object.assign(file, { devices: 1 }), ': "devices" is 1; a list is needed'],
  ])('with %s is refused by file, device and value', async (_title, change, message) => {
    const [answer, path] = await groups('mine.json', machineFile(change))
    expect(answer).toEqual(refusal(path + message))
  })
})

describe('an lspci dump', () => {
  const lines = DUMP.split('\n')
  test('cut in the middle of a line is refused at that line', async () => {
    const [answer, path] = await groups('dump.txt', DUMP.slice(0, DUMP.indexOf('50: 40 00') + 8))
    expect(answer).toEqual(refusal(`${path}:7: "50: 40 0": not an offset and up to 16 bytes in hexadecimal`))
    const [between, again] = await groups('dump.txt', DUMP.slice(0, DUMP.indexOf('50: 40 00') + 9))
    expect(between).toEqual(refusal(`${again}:7: "50: 40 00": 2 bytes; the line is cut, 16 are needed`))
  })
  test('cut in the middle of a function is refused at the function', async () => {
    const [answer, path] = await groups('dump.txt', lines.slice(0, 30).join('\n'))
    expect(answer).toEqual(
      refusal(`${path}:19: 0000:00:02.0 has 144 bytes; 64 (-x), 256 (-xxx) or 4096 (-xxxx) are possible`),
    )
  })
  test('with a doubled BDF is refused at the second one', async () => {
    const [answer, path] = await groups('dump.txt', `${DUMP}\n${lines.slice(0, 18).join('\n')}`)
    expect(answer).toEqual(
      refusal(
        `${path}:${lines.length + 1}: "0000:00:00.0 Host bridge: Intel Corporation 82G33/G31/P35/P3…": this function was described before`,
      ),
    )
  })
  test('with overlapping BARs is refused by functions and addresses', async () => {
    const moved = DUMP.replace('10: 00 00 a1 fe 01 50', '10: 00 00 90 fe 01 50').replace('at fea10000', 'at fe900000')
    const [answer, path] = await groups('dump.txt', moved)
    expect(answer).toEqual(
      refusal(`${path}: 0000:00:02.1: BAR 0 at 0xfe900000 overlaps BAR 0 of 0000:00:02.0 at 0xfe900000-0xfe900fff`),
    )
  })
  test('that is no dump is refused at its first line, whatever stands in it', async () => {
    const [answer, path] = await groups('dump.txt', '\u001B[2Jhello\n')
    expect(answer).toEqual(refusal(`${path}:1: " [2Jhello": neither a function nor a line of hex`))
    expect((await groups('dump.txt', ''))[0]).toMatchObject({ code: 2, stdout: '' })
  })
})

/** Notes what it sees of its host's life. */
const watched = (seen: string[]): Plugin => ({
  name: 'watched',
  contract: 1,
  setup: (host) => {
    seen.push('set up')
    host.onReady(() => seen.push('ready'))
    host.onClose(() => seen.push('closed'))
  },
})

describe('nothing half composed stays behind:', () => {
  const Dinner = token<object>('Dinner')
  test('an unmet need is told before any plug-in is set up', () => {
    const seen: string[] = []
    const hungry: Plugin = { name: 'hungry', contract: 1, needs: [Dinner], setup: () => seen.push('hungry') }
    expect(() => createHost({ plugins: [watched(seen), hungry] })).toThrow(
      /^plug-in "hungry" needs "Dinner"; no plug-in provides it$/,
    )
    expect(seen).toEqual([])
  })
  test('two functions in one place: what was set up before is closed', () => {
    const seen: string[] = []
    const place = { at: '00:01.0' }
    const plugins = [watched(seen), edu(place), dmaEngine(place)]
    expect(() => createHost({ plugins })).toThrow(/^[^\n]*00:01\.0[^\n]*$/)
    expect(seen).toEqual(['set up', 'closed'])
  })
  test('a machine refused by its own part is closed as a whole', () => {
    let tree: SysfsTree | undefined
    const seen: string[] = []
    const last: Plugin = {
      name: 'last',
      contract: 1,
      needs: [Sysfs],
      setup: (host) => {
        tree = host.get(Sysfs)
        host.onReady(() => {
          throw new Error('not today')
        })
      },
    }
    expect(() => machineHost('intel-sc', { plugins: [watched(seen), last] })).toThrow('not today')
    expect(tree).toBeDefined()
    expect(seen.at(-1)).toBe('closed')
  })
  test('every message of a refusal is one line', () => {
    const refused = [
      () => machineHost('nothing'),
      () => parseLspci('x\ny'),
      () => describeMachine({ devices: [{ bdf: 'a\nb' }] }),
      () => createHost({ machine: { cpus: 0 } }),
    ].map((make) => {
      try {
        make()
        return 'composed'
      } catch (error) {
        return (error as Error).message
      }
    })
    expect(refused.filter((message) => message === 'composed' || message.includes('\n'))).toEqual([])
    expect(refused[0]).toContain(LAB_MACHINES.join(', '))
  })
})
