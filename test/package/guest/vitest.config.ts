/** Tests in a booted Debian: one after the other, by `npm run test:package`, which makes what they need. */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/package/guest/*.guest.ts'],
    testTimeout: 300_000,
    hookTimeout: 300_000,
    pool: 'forks',
    fileParallelism: false,
    reporters: ['verbose'],
  },
})
