// npm run check:packages: packs every package as it would be published, checks the tarballs with publint, installs them with
// npm in an empty folder, and runs there what a user runs first; likewise the back end in examples, which knows the packages
// from their tarballs alone. Closes with one line.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** Seconds for all steps together. */
const LIMIT = 180
const start = Date.now()
const seconds = () => Math.round((Date.now() - start) / 1000)

// npx hands the options it was called with to every npm below it; this one is for the pinned pnpm alone
const { npm_config_allow_scripts: _, ...outer } = process.env
const env = { ...outer, NO_COLOR: '1' }

/** Runs a command within what is left of the time. @returns its output. @throws Error with what it printed */
function run(command, args, cwd) {
  const timeout = Math.max(1, LIMIT * 1000 - (Date.now() - start))
  const { status, signal, error, stdout, stderr } = spawnSync(command, args, { cwd, timeout, env, encoding: 'utf8' })
  if (status === 0) return stdout
  const how =
    error?.code === 'ETIMEDOUT' ? `not done within ${LIMIT} s` : (error?.message ?? signal ?? `exit code ${status}`)
  throw new Error(`${command} ${args.join(' ').slice(0, 200)}: ${how}\n${stdout ?? ''}${stderr ?? ''}`.trimEnd())
}

function mustBe(what, got, wanted) {
  if (got !== wanted) throw new Error(`${what}: expected ${JSON.stringify(wanted)}, got ${JSON.stringify(got)}`)
}

const packages = readdirSync(join(ROOT, 'packages')).map((name) => {
  const folder = join(ROOT, 'packages', name)
  return { folder, manifest: JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) }
})

/** Packs one package. @returns the tarball's path */
function pack({ folder, manifest }, into) {
  run('pnpm', ['pack', '--pack-destination', into], folder)
  return join(into, `${manifest.name.replace('@', '').replace('/', '-')}-${manifest.version}.tgz`)
}

/** @returns what publint has to say about a tarball, line by line */
async function findings({ manifest }, tarball) {
  const { buffer, byteOffset, byteLength } = readFileSync(tarball)
  const archive = buffer.slice(byteOffset, byteOffset + byteLength)
  const { messages, pkg } = await publint({ strict: true, pack: { tarball: archive } })
  return messages.map((one) => `${manifest.name}: ${formatMessage(one, pkg, { color: false })}`)
}

/** The first host of README.md, and what README.md says that it prints. */
function firstHost() {
  const text = readFileSync(join(ROOT, 'README.md'), 'utf8')
  const code = /^```ts\n([^]*?)^```$/m.exec(text)?.[1]
  const told = /^It prints (.*)$/m.exec(text)?.[1] ?? ''
  const prints = [...told.matchAll(/`([^`]+)`/g)].map((m) => `${m[1]}\n`).join('')
  if (!code || !prints) throw new Error('README.md: there is no first host that says what it prints')
  return { code, prints }
}

/** A user's settings, without those that hide mistakes in our declarations. */
const TSCONFIG = {
  compilerOptions: {
    module: 'nodenext',
    target: 'es2023',
    lib: ['es2023', 'dom'],
    types: [],
    strict: true,
    skipLibCheck: false,
    outDir: 'out',
  },
  files: ['first.ts'],
}

/** Uses the tarballs as a user would. */
function use(folder, tarballs) {
  const { code, prints } = firstHost()
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n')
  run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', ...tarballs], folder)
  writeFileSync(join(folder, 'first.js'), code)
  mustBe('the first host in JavaScript', run(process.execPath, ['first.js'], folder), prints)
  writeFileSync(join(folder, 'first.ts'), code)
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(TSCONFIG))
  run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc')], folder)
  mustBe('the first host in TypeScript', run(process.execPath, ['out/first.js'], folder), prints)
  for (const { manifest } of packages) {
    if (manifest.exports['.']) run(process.execPath, ['-e', `import('${manifest.name}')`], folder)
  }
  const { version } = packages.find(({ manifest }) => manifest.bin).manifest
  mustBe('npx ioasis --version', run('npx', ['ioasis', '--version'], folder), `${version}\n`)
  run('npx', ['ioasis', 'demo'], folder)
}

/** Installs the back end of a third party with what its manifest names, checks its types, runs its tests. @returns how many */
function thirdParty(folder, tarballs) {
  const source = join(ROOT, 'examples/virtio-iommu')
  cpSync(source, folder, { recursive: true, filter: (path) => !path.includes('node_modules') })
  const { peerDependencies, devDependencies } = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8'))
  const named = { ...peerDependencies, ...devDependencies }
  const wanted = packages.flatMap(({ manifest }, i) => (manifest.name in named ? tarballs[i] : []))
  run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', ...wanted], folder)
  run('npm', ['run', 'typecheck'], folder)
  run('npm', ['test', '--', '--reporter=json', '--outputFile=tests.json'], folder)
  return JSON.parse(readFileSync(join(folder, 'tests.json'), 'utf8')).numPassedTests
}

const folder = mkdtempSync(join(tmpdir(), 'ioasis-packages-'))
try {
  const [tarballs, empty, example] = ['tarballs', 'empty', 'virtio-iommu'].map((name) => join(folder, name))
  for (const one of [tarballs, empty]) mkdirSync(one)
  const packed = packages.map((one) => pack(one, tarballs))
  const found = (await Promise.all(packages.map((one, i) => findings(one, packed[i])))).flat()
  if (found.length > 0) throw new Error(found.join('\n'))
  use(empty, packed)
  const tests = thirdParty(example, packed)
  console.log(
    `packages: ${packed.length} packed and clean, the first host runs from them in TypeScript and JavaScript, a third party's back end passes ${tests} tests (${seconds()} s)`,
  )
} catch (error) {
  console.error(error.message)
  console.log(`packages: failed (${seconds()} s)`)
  process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
