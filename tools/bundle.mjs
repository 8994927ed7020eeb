// node tools/bundle.mjs [PACKAGE...]: makes the JavaScript of packages, of all when none is named: one file per public entry.
// Node takes about half a millisecond to find and read a module, and a host would load hundreds of them. What a package
// depends on stays outside; what it only develops with is taken in, with its licence. tsc makes the declarations.
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { at } from './workspace.mjs'

const filesBelow = (folder) =>
  existsSync(folder) ? readdirSync(folder, { recursive: true }).map((name) => join(folder, name)) : []
const changed = (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0

/** Sources of the public entries and commands, by the name of their file in dist. */
function entriesOf({ exports, bin = {} }, folder) {
  const outputs = [...Object.values(exports).map((one) => one.default), ...Object.values(bin)]
  const names = outputs.flatMap((path) => /^\.\/dist\/(.*)\.js$/.exec(path ?? '')?.[1] ?? [])
  return Object.fromEntries(names.map((name) => [name, join(folder, 'src', `${name}.ts`)]))
}

/** @returns whether an import stays outside */
function outsideOf({ dependencies, peerDependencies }) {
  const names = Object.keys({ ...dependencies, ...peerDependencies })
  return (id) => id.startsWith('node:') || names.some((name) => id === name || id.startsWith(`${name}/`))
}

/** Another package of ours taken in would be there twice: its package.json must name it. @throws Error */
function checkOwn(modules, folder) {
  const foreign = modules.find(
    (id) => id.startsWith(at('packages')) && !id.startsWith(join(folder, 'src')) && !id.includes('node_modules'),
  )
  if (foreign) throw new Error(`${folder}: ${foreign} was taken in, but package.json does not name its package`)
}

/** The licences of what was taken in, as they ask for it; undefined when nothing was. */
function notices(modules) {
  const folders = new Set(
    modules.flatMap((id) => /^.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/.exec(id)?.[0] ?? []),
  )
  const texts = [...folders].map((folder) => {
    const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    const found = readdirSync(folder).filter((file) => /^(?:licen[cs]e|copyright)/i.test(file))
    const licences = found.map((file) => readFileSync(join(folder, file), 'utf8').trim())
    return [`${name} ${version}`, ...licences].join('\n\n')
  })
  return texts.length > 0 ? `${texts.join('\n\n----\n\n')}\n` : undefined
}

async function bundle(name) {
  const folder = at(`packages/${name}`)
  const dist = join(folder, 'dist')
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const entry = entriesOf(manifest, folder)
  const inputs = [...filesBelow(join(folder, 'src')), join(folder, 'package.json'), at('tools/bundle.mjs')]
  const outputs = Object.keys(entry).map((one) => join(dist, `${one}.js`))
  if (Math.min(...outputs.map(changed)) > Math.max(...inputs.map(changed))) return
  for (const file of filesBelow(dist)) if (/\.js(\.map)?$/.test(file)) rmSync(file)
  // Loaded here, because it takes longer than to find out that nothing changed.
  const { build } = await import('vite')
  const { output } = await build({
    root: folder,
    configFile: false,
    publicDir: false,
    logLevel: 'warn',
    oxc: { decorator: { legacy: true } },
    // Not Vite's library mode, which rewrites `new URL(..., import.meta.url)`; a worker, because core runs without Node.
    ssr: { noExternal: true, target: 'webworker' },
    // Vite knows no environment in a worker and would put an empty one in its place; the command reads the real one.
    define: { 'process.env': 'process.env' },
    build: {
      ssr: true,
      outDir: dist,
      emptyOutDir: false,
      target: 'es2023',
      minify: false,
      sourcemap: true,
      rolldownOptions: {
        input: entry,
        external: outsideOf(manifest),
        output: { entryFileNames: '[name].js', chunkFileNames: 'shared/[name].js' },
      },
    },
  })
  const modules = output.flatMap(({ moduleIds = [] }) => moduleIds)
  checkOwn(modules, folder)
  const texts = notices(modules)
  if (texts !== undefined) writeFileSync(join(dist, 'NOTICES.txt'), texts)
}

const named = process.argv.slice(2)
for (const name of named.length > 0 ? named : readdirSync(at('packages'))) await bundle(name)
