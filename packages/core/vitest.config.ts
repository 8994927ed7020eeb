import { defineProject, mergeConfig } from 'vitest/config'
import { shared } from '../../vitest.shared.ts'

export default mergeConfig(
  shared,
  defineProject({
    test: {
      name: 'core',
      include: ['src/**/*.test.ts'],
      typecheck: { enabled: true, tsconfig: './tsconfig.json', include: ['src/**/*.test-d.ts'] },
    },
  }),
)
