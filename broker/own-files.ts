/**
 * Where this program's own files lie. package.json is what every module finds by itself (`#package`), whether it runs as source, as the compiler
 * writes it to dist/, or within a part of the bundle; `import.meta.url` is another one each time.
 */
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const HOME = dirname(createRequire(import.meta.url).resolve('#package'))

export const OWN_FILES = {
  /** The command, as it is installed; what links to it lies elsewhere. */
  command: join(HOME, 'bin/headwater'),
  /** The programs: entries of the bundle (rolldown.config.ts). */
  broker: join(HOME, 'dist/cli.js'),
  bridge: join(HOME, 'dist/bridge.js'),
  demo: join(HOME, 'dist/demo.js'),
  /** The page, a folder (broker/dashboard/rolldown.config.ts). */
  dashboard: join(HOME, 'dist/dashboard'),
  /** Written by operations/http/openapi/main.ts. */
  openApi: join(HOME, 'dist/openapi.json'),
} as const
