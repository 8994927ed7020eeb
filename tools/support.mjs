#!/usr/bin/env node
/** Writes docs/support.md anew from the tables of composed hosts (packages/hosts/src/support.test-kit.ts). */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const { status } = spawnSync('node_modules/.bin/vitest', ['run', 'packages/hosts/src/support.test.ts', '--update'], {
  cwd: root,
  stdio: 'inherit',
})
process.exitCode = status ?? 1
