// npm test, npm run lint and the rest: installs what is missing, then hands the task to turbo.
import { install, pnpm } from './workspace.mjs'

install()
pnpm('exec', 'turbo', 'run', ...process.argv.slice(2))
