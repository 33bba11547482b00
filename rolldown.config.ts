/**
 * Makes the programs: dist/cli.js, dist/bridge.js and dist/demo.js, with what they share and what they load later in dist/parts/. Why one bundle, and
 * what it saves: ARCHITECTURE.md. `npm run build` calls it.
 */
import { rm } from 'node:fs/promises'
import { defineConfig, type Plugin } from 'rolldown'

/** Parts of before, which nothing loads any more. The rest of dist/ is the compiler's. */
const fresh: Plugin = {
  name: 'fresh',
  generateBundle: () => rm('dist/parts', { recursive: true, force: true }),
}

export default defineConfig({
  input: { cli: 'cli.ts', bridge: 'bridge.ts', demo: 'broker/operations/demo/main.ts' },
  platform: 'node',
  plugins: [fresh],
  external: (id) => !/^[./]/.test(id),
  output: {
    dir: 'dist',
    entryFileNames: '[name].js',
    chunkFileNames: 'parts/[name].js',
    format: 'esm',
    charset: 'ascii',
    comments: false,
  },
  checks: { bundlerTimings: false },
})
