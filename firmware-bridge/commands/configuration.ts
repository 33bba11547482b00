/** `headwater-bridge init` and `config check`. */
import type { RefusedConfig } from '../../broker/config/load-file.ts'
import { newestVersion } from '../../broker/config/migrations.ts'
import { schemaTemplate } from '../../broker/config/template.ts'
import type { Output } from '../../broker/operations/terminal/output.ts'
import { printable } from '../../broker/operations/terminal/printable.ts'
import { printFacts } from '../../broker/operations/terminal/table.ts'
import { BRIDGE_PROGRAM, type LoadedBridgeConfig } from '../config/load.ts'
import { BridgeSchema } from '../config/schema.ts'

export function bridgeTemplate(): string {
  const { files, names } = BRIDGE_PROGRAM
  return schemaTemplate(
    BridgeSchema,
    (example) => {
      const { path, variable } = example('url')
      return (
        'The firmware bridge of Headwater. Every key is optional; the values below are the defaults. ' +
        `Read from --config FILE, else ${files.join(', else ')}. Relative paths start at this file. ` +
        `A single value can also come from the environment, which wins: ${path} is ${variable}. ` +
        'Check an edited file with `headwater-bridge config check FILE`.'
      )
    },
    names.prefix,
    newestVersion(BRIDGE_PROGRAM.migrations),
  )
}

/** @returns whether it can be used */
export function reportCheck(
  { out, err }: { out: Output; err: Output },
  loaded: LoadedBridgeConfig | RefusedConfig,
  isJson: boolean,
): boolean {
  const problems = loaded.ok ? [] : loaded.problems
  const warnings = loaded.ok ? loaded.warnings : []
  if (isJson) {
    const shown = problems.map(({ code, place, message, hint }) => {
      return { code, place, message: message.slice(place.length + 2), hint }
    })
    out.json({ ok: loaded.ok, file: loaded.file, problems: shown, warnings })
    return loaded.ok
  }
  for (const warning of warnings) err.line(`headwater-bridge: warning: ${printable(warning)}`)
  for (const { line } of problems) err.line(`headwater-bridge: ${printable(line)}`)
  if (loaded.ok) {
    const { broker, links, data } = loaded.config
    out.line(`${out.paint('green', 'ok')}  ${loaded.file ?? 'default configuration, no file'}`)
    printFacts(out, [
      ['data', data],
      ['broker', broker.url],
      ['links', links.map((link) => (link.kind === 'udp' ? link.address : link.port)).join(', ') || 'none'],
    ])
  }
  return loaded.ok
}
