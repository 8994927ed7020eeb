/** What every command has in common: help, version, exit codes, colours, a reader that has seen enough. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { ioasis, refusal } from './command.test-kit.ts'

const COMMANDS = ['demo', 'groups', 'walk', 'hwcases']
const version = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version as string

describe('help', () => {
  test('lists every command, and tells the exit codes', async () => {
    const { code, stdout, stderr } = await ioasis(['--help'])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toContain('Usage: ioasis [options] [command]')
    expect(COMMANDS.filter((name) => !new RegExp(`^ {2}${name} `, 'm').test(stdout))).toEqual([])
    expect(stdout).toContain('Exit code 0: success; 1: what was checked does not hold; 2: bad arguments or input.')
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThan(100)
  })
  test.each(COMMANDS)('of %s is the same by --help and by the help command', async (name) => {
    const [asked, helped] = await Promise.all([ioasis([name, '--help']), ioasis(['help', name])])
    expect(asked).toEqual({ code: 0, stdout: expect.stringContaining(`Usage: ioasis ${name} [options]`), stderr: '' })
    expect(asked.stdout).not.toContain('default: []')
    expect(helped).toEqual(asked)
  })
  test('is what a call without a command gets, on stderr and with exit code 2', async () => {
    const { code, stdout, stderr } = await ioasis([])
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain('Usage: ioasis')
  })
})

test('--version prints the version of the package', async () => {
  expect(await ioasis(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
})

describe('a mistake on the command line is told in one line, with exit code 2:', () => {
  const HELP = '; ioasis --help shows what there is'
  test.each([
    ['an unknown command', ['grups'], `unknown command 'grups' (Did you mean groups?)${HELP}`],
    ['an unknown option', ['groups', 'intel', '--jsonn'], `unknown option '--jsonn' (Did you mean --json?)${HELP}`],
    ['a missing argument', ['walk', 'intel', '01:00.0'], `missing required argument 'iova'${HELP}`],
    [
      'an argument too many',
      ['groups', 'a', 'b'],
      `too many arguments for 'groups'. Expected 1 argument but got 2${HELP}`,
    ],
    [
      'a choice that is none',
      ['hwcases', 'a.json', '--personality', 'amd'],
      `option '-p, --personality <whose>' argument 'amd' is invalid. Allowed choices are specification, qemu${HELP}`,
    ],
    [
      'a machine that is none',
      ['groups', 'intell'],
      '"intell" is no file and no lab machine; there are intel, intel-sc, intel-aw39, intel-noir, intel-pt, intel-sm, intel-sm-nosc, intel-smfs, intel-smpasid, amd, amd-xt, amd-pt, noiommu, powernv10, powernv10-64k, pseries, pseries-64k, pseries-hcall',
    ],
  ])('%s', async (_title, args, message) => {
    expect(await ioasis(args)).toEqual(refusal(message))
  })
})

describe('colours', () => {
  const ESCAPE = '\u001B['
  test('are left out on a pipe', async () => {
    expect((await ioasis(['groups', 'intel'])).stdout).not.toContain(ESCAPE)
  })
  test('come with FORCE_COLOR, and change nothing but themselves', async () => {
    const [plain, coloured] = await Promise.all([
      ioasis(['groups', 'intel']),
      ioasis(['groups', 'intel'], { env: { FORCE_COLOR: '1' } }),
    ])
    expect(coloured.stdout).toContain(ESCAPE)
    // oxlint-disable-next-line no-control-regex
    expect(coloured.stdout.replaceAll(/\u001B\[\d+m/g, '')).toBe(plain.stdout)
  })
  test('never come with NO_COLOR', async () => {
    const { stdout } = await ioasis(['groups', 'intel'], { env: { FORCE_COLOR: '1', NO_COLOR: '1' } })
    expect(stdout).not.toContain(ESCAPE)
  })
})

test('a reader that closes the pipe early is no error', async () => {
  const { code, stderr } = await ioasis(['groups', 'intel-sc', '--json'], { deaf: true })
  expect([code, stderr]).toEqual([0, ''])
})
