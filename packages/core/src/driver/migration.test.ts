import { expect, test } from 'vitest'
import { type MigrationAbilities, type MigrationState, nextMigrationState } from './migration.ts'

const ALL: MigrationAbilities = { p2p: true, preCopy: true }

/** Every state on the way. */
function way(from: MigrationState, to: MigrationState, abilities: MigrationAbilities = ALL): string {
  const states = [from]
  for (let now = from; now !== to;) states.push((now = nextMigrationState(abilities, now, to)))
  return states.join(' ')
}

test('a driver that can all sees one arc after the other', () => {
  expect(way('RUNNING', 'STOP_COPY')).toBe('RUNNING RUNNING_P2P STOP STOP_COPY')
  expect(way('PRE_COPY', 'STOP_COPY')).toBe('PRE_COPY PRE_COPY_P2P STOP_COPY')
  expect(way('PRE_COPY', 'RESUMING')).toBe('PRE_COPY RUNNING RUNNING_P2P STOP RESUMING')
  expect(way('RESUMING', 'PRE_COPY')).toBe('RESUMING STOP RUNNING_P2P RUNNING PRE_COPY')
  expect(way('STOP_COPY', 'RUNNING')).toBe('STOP_COPY STOP RUNNING_P2P RUNNING')
})

test('states that a driver does not have are stepped over', () => {
  expect(way('RUNNING', 'STOP_COPY', {})).toBe('RUNNING STOP STOP_COPY')
  expect(way('STOP', 'RUNNING', {})).toBe('STOP RUNNING')
  expect(way('PRE_COPY', 'STOP_COPY', { preCopy: true })).toBe('PRE_COPY STOP_COPY')
  expect(way('RUNNING', 'PRE_COPY', { preCopy: true })).toBe('RUNNING PRE_COPY')
})

test('copying cannot begin again while it ends, and nothing leads to or out of an error', () => {
  expect(() => nextMigrationState(ALL, 'STOP_COPY', 'PRE_COPY')).toThrow('EINVAL')
  expect(() => nextMigrationState(ALL, 'RUNNING', 'ERROR')).toThrow('EINVAL')
  expect(() => nextMigrationState(ALL, 'ERROR', 'RUNNING')).toThrow('EINVAL')
})

test('a state that the driver does not have is refused', () => {
  expect(() => nextMigrationState({}, 'RUNNING', 'RUNNING_P2P')).toThrow('EINVAL')
  expect(() => nextMigrationState({ p2p: true }, 'RUNNING', 'PRE_COPY')).toThrow('EINVAL')
})
