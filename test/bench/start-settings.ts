/** How `npm start` starts Headwater, so that what users run is what is measured. */
import { createRequire } from 'node:module'

const { scripts } = createRequire(import.meta.url)('#package') as { scripts: { start: string } }

export interface StartSettings {
  readonly environment: Record<string, string>
  readonly flags: string[]
}

/** From `NAME=value … node --flag … file …`. */
export function startSettings(script = scripts.start): StartSettings {
  const words = script.split(/\s+/)
  const node = words.indexOf('node')
  const variables = words.slice(0, node).map((word) => word.split('=', 2) as [string, string])
  const rest = words.slice(node + 1)
  const flags = rest.slice(
    0,
    rest.findIndex((word) => !word.startsWith('-')),
  )
  return { environment: Object.fromEntries(variables), flags }
}
