#!/usr/bin/env node
/**
 * Measures the uAPI headers of a kernel with the C compiler: sizes, offsets, numbers and flag values, as a table in JSON.
 *
 *   node tools/uapi-layout.mjs LINUX > packages/uapi/testdata/layout.json && oxfmt packages/uapi/testdata/layout.json
 *
 * LINUX is an unpacked kernel source. The table is committed and carries a hash over itself; a test holds our own layouts
 * against it (packages/hosts/src/uapi-layout.test.ts). Nothing else needs the headers or a compiler.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { argv, stdout } from 'node:process'

/**
 * What is measured. `only`: names of structs and constants that count; default all of the header's. Headers of x86 itself
 * (asm/kvm.h) come from the compiler's system: they show in the numbers of calls alone.
 */
const HEADERS = [
  { name: 'linux/iommufd.h', path: 'include/uapi/linux/iommufd.h' },
  { name: 'linux/vfio.h', path: 'include/uapi/linux/vfio.h' },
  {
    name: 'linux/kvm.h',
    path: 'include/uapi/linux/kvm.h',
    only: /^(?:kvm_(?:create_(?:device|spapr_tce(?:_64)?)|enable_cap|device_attr|userspace_memory_region|vfio_spapr_tce|run)|KVMIO|KVM_(?:API_VERSION|ENABLE_CAP|DEV_TYPE_VFIO|DEV_VFIO_.*|CREATE_(?:VM|VCPU|DEVICE|DEVICE_TEST|SPAPR_TCE(?:_64)?)|CHECK_EXTENSION|GET_(?:API_VERSION|VCPU_MMAP_SIZE|DEVICE_ATTR|REGS|SREGS)|SET_(?:USER_MEMORY_REGION|DEVICE_ATTR|REGS|SREGS)|HAS_DEVICE_ATTR|RUN|EXIT_(?:HLT|INTR|INTERNAL_ERROR|PAPR_HCALL)|MEM_.*|CAP_(?:USER_MEMORY|NR_VCPUS|NR_MEMSLOTS|DESTROY_MEMORY_REGION_WORKS|MAX_VCPUS|DEVICE_CTRL|CHECK_EXTENSION_VM|MAX_VCPU_ID|SPAPR_.*|PPC_ENABLE_HCALL)))$/,
  },
  {
    name: 'asm/kvm.h',
    arch: 'powerpc',
    path: 'arch/powerpc/include/uapi/asm/kvm.h',
    only: /^kvm_create_spapr_tce(?:_64)?$/,
  },
  { name: 'iommufd_test.h', path: 'drivers/iommu/iommufd/iommufd_test.h' },
]

const linux = argv[2]
if (!linux) throw new Error('usage: uapi-layout.mjs LINUX')
const work = mkdtempSync(join(tmpdir(), 'uapi-layout-'))
try {
  stdout.write(`${JSON.stringify(table(), undefined, 1)}\n`)
} finally {
  rmSync(work, { recursive: true })
}

function table() {
  const headers = {}
  const structs = {}
  const constants = {}
  for (const { name, path, arch = 'x86', only = /./ } of HEADERS) {
    const text = readFileSync(join(linux, path), 'utf8')
    headers[path] = createHash('sha256').update(text).digest('hex')
    const declared = declarations(text)
    const measured = measure(
      { name, arch },
      declared.structs.filter((s) => only.test(s.name)),
      declared.constants.filter((c) => only.test(c)),
    )
    for (const [key, value] of Object.entries(measured.structs)) structs[key] = { header: path, ...value }
    Object.assign(constants, measured.constants)
  }
  const body = { headers, structs, constants }
  return { ...body, sha256: createHash('sha256').update(JSON.stringify(body)).digest('hex') }
}

/** Names of structs with their members, and of constants. */
function declarations(text) {
  const plain = text.replaceAll(/\/\*[\s\S]*?\*\//g, ' ').replaceAll(/\/\/.*$/gm, ' ')
  const joined = plain.replaceAll('\\\n', ' ')
  const constants = [...joined.matchAll(/^[ \t]*#[ \t]*define[ \t]+([A-Za-z_]\w*)[ \t]+(\S.*)$/gm)]
    .filter(([, , value]) => !value.startsWith('"') && !/[{};]/.test(value))
    .map(([, name]) => name)
  const code = joined.replaceAll(/^[ \t]*#.*$/gm, ' ')
  const structs = []
  for (const found of code.matchAll(/\b(struct|enum|union)\s*(\w+)?\s*\{/g)) {
    const body = braced(code, found.index + found[0].length)
    if (found[1] === 'enum') constants.push(...enumerators(body))
    else if (found[1] === 'struct' && found[2]) structs.push({ name: found[2], members: members(body) })
  }
  return { structs, constants: [...new Set(constants)] }
}

/** Text up to the brace that closes the one before `from`. */
function braced(code, from) {
  let depth = 1
  let at = from
  while (depth > 0) {
    if (code[at] === '{') depth++
    if (code[at] === '}') depth--
    at++
  }
  return code.slice(from, at - 1)
}

function enumerators(body) {
  return body.split(',').flatMap((part) => /^\s*(\w+)/.exec(part)?.[1] ?? [])
}

/** Members by the name that reaches them: `a`, and `a.b` inside of `a`. Nameless structs and unions add nothing to it. */
function members(body) {
  const found = []
  let rest = body
  for (;;) {
    const next = /^\s*(?:(struct|union)\s*(\w+)?\s*\{|([^;{}]+);)/.exec(rest)
    if (!next) return found
    if (next[3] === undefined) {
      const inner = braced(rest, next[0].length)
      const after = rest.slice(next[0].length + inner.length + 1)
      const declarator = /^([^;]*);/.exec(after) ?? ['', '']
      const name = /(\w+)\s*(?:\[.*)?$/.exec(declarator[1].replaceAll(/__attribute__.*$/g, '').trim())?.[1]
      if (name) found.push(name, ...members(inner).map((one) => `${name}.${one}`))
      else found.push(...members(inner))
      rest = after.slice(declarator[0].length)
    } else {
      found.push(...declarators(next[3]))
      rest = rest.slice(next[0].length)
    }
  }
}

/** `__u32 a, b[3]` gives a and b; bit fields have no place of their own. */
function declarators(text) {
  const flexible = /__DECLARE_FLEX_ARRAY\s*\([^,]+,\s*(\w+)\s*\)/.exec(text)
  if (flexible) return [flexible[1]]
  const plain = text.replaceAll(/__attribute__\s*\(\(.*?\)\)/g, ' ')
  if (plain.includes(':')) return []
  return plain.split(',').flatMap((one) => /(\w+)\s*(?:\[[^\]]*\]\s*)*$/.exec(one.trim())?.[1] ?? [])
}

/** Compiles and runs a program that prints all of it; what is no number is left out. */
function measure(header, structs, constants) {
  const lines = [
    ...structs.flatMap(({ name, members: names }) => [
      { text: `printf("s ${name} - %zu -\\n", sizeof(struct ${name}));` },
      ...names.map((member) => memberLine(name, member)),
    ]),
    ...constants.map((name) => ({ text: `printf("c ${name} - %llu -\\n", (unsigned long long)(${name}));` })),
  ]
  compile(header, lines)
  const result = { structs: {}, constants: {} }
  for (const line of execFileSync(join(work, 'measure'), { encoding: 'utf8' }).trim().split('\n')) {
    const [kind, name, member, value, size] = line.split(' ')
    if (kind === 's') result.structs[name] = { size: Number(value), members: {} }
    else if (kind === 'm') result.structs[name].members[member] = [Number(value), Number(size)]
    else result.constants[name] = `0x${BigInt(value).toString(16)}`
  }
  return result
}

/** A flexible array has no size: the compiler refuses the first form, and the second one says 0. */
function memberLine(struct, member) {
  const line = (size) =>
    `printf("m ${struct} ${member} %zu %zu\\n", offsetof(struct ${struct}, ${member}), (size_t)${size});`
  return { text: line(`sizeof(((struct ${struct} *)0)->${member})`), otherwise: { text: line(0) } }
}

/** Replaces or drops the lines the compiler complains about until it is content. */
function compile({ name, arch }, lines) {
  const source = join(work, 'measure.c')
  // What the kernel's own install of its headers takes out.
  mkdirSync(join(work, 'linux'), { recursive: true })
  writeFileSync(join(work, 'linux/compiler.h'), '')
  const head = ['#include <stdio.h>', '#include <stddef.h>', '#define __user', `#include <${name}>`, 'int main(void) {']
  const folders = ['include/uapi', `arch/${arch}/include/uapi`, 'drivers/iommu/iommufd'].map((path) =>
    join(linux, path),
  )
  const flags = [
    '-w',
    '-fmax-errors=0',
    '-o',
    join(work, 'measure'),
    source,
    `-I${work}`,
    ...folders.map((path) => `-I${path}`),
  ]
  let kept = lines
  for (let tries = 0; tries < 9; tries++) {
    writeFileSync(source, [...head, ...kept.map(({ text }) => text), 'return 0; }'].join('\n'))
    const { status, stderr } = spawnSync('gcc', flags, { encoding: 'utf8' })
    if (status === 0) return
    const bad = new Set([...stderr.matchAll(/measure\.c:(\d+):\d+:/g)].map(([, n]) => Number(n) - head.length - 1))
    if (bad.size === 0 || bad.size > lines.length / 2) throw new Error(stderr)
    kept = kept.flatMap((line, i) => (bad.has(i) ? (line.otherwise ?? []) : line))
  }
  throw new Error(`${name}: does not compile`)
}
