/** docs/configuration-reference.md is made from the schemas: `npm run docs` writes it, and this fails where it has fallen behind. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { BROKER_NAMES } from '../../broker/config/environment.ts'
import { referenceTable } from '../../broker/config/reference.ts'
import { RELOAD_RULES } from '../../broker/config/restart-reasons.ts'
import { configSchema } from '../../broker/config/schema.ts'
import { BRIDGE_PROGRAM } from '../../firmware-bridge/config/load.ts'
import { BridgeSchema } from '../../firmware-bridge/config/schema.ts'
import { DownlinkSchema, UpstreamSchema } from '../../sync/config.ts'

const pathOf = (name: string) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url))

const INTRO = `Made from the schema by \`npm run docs\`; do not edit it. How configuration works: [configure.md](configure.md). The same keys, as a file
with all explanations: \`headwater init -\`. A name in capitals is the environment variable that gives the value. \`[]\` stands for
each entry of a list; relative paths start at the file.`

test('the reference of keys is that of the schema', async () => {
  const broker = referenceTable(configSchema(UpstreamSchema, DownlinkSchema), BROKER_NAMES.prefix)
  const bridge = referenceTable(BridgeSchema, BRIDGE_PROGRAM.names.prefix)
  const text = `# Configuration reference\n\n${INTRO}\n\n# headwater.yaml\n\n${broker}\n# headwater-bridge.yaml\n\n${bridge}`
  await expect(text).toMatchFileSnapshot(pathOf('configuration-reference.md'))
  expect(text).toContain('| `limits.recordBytesMax`<br>`HEADWATER_LIMITS_RECORD_BYTES_MAX` |')
  expect(text).toContain('### a Kafka cluster')
})

test('the table of what a reload takes up names every key that needs a restart, with its reason', () => {
  const text = readFileSync(pathOf('configure.md'), 'utf8').replaceAll(/\s+/g, ' ')
  for (const [path, reason] of RELOAD_RULES) {
    if (reason === null) continue
    expect(text).toContain(reason)
    expect(text).toContain(`\`${path.replace('*', 'NAME')}`)
  }
})
