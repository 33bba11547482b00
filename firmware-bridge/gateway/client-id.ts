/** Which client ids are taken. MQTT-SN 1.2, section 5.3.1: 1 to 23 characters. */

/** What would change the shape of a topic that has the id in it, or no line of a log should have. */
const NOT_ALLOWED = /[\p{Cc}\p{Cs}\p{Cn}+#/]/u

/** @returns what is wrong with it, or null */
export function clientIdFault(clientId: string, charactersMax: number): string | null {
  if (clientId === '') return 'it is empty'
  if ([...clientId].length > charactersMax) {
    return `it is longer than ${charactersMax} characters`
  }
  if (NOT_ALLOWED.test(clientId)) return 'it has a control character or one of + # / in it'
  return null
}

/** Patterns in which * stands for any characters. */
export class AllowedClients {
  readonly #patterns: readonly RegExp[]
  readonly allowsAll: boolean

  constructor(patterns: readonly string[]) {
    this.allowsAll = patterns.includes('*')
    this.#patterns = patterns.map(
      (pattern) => new RegExp(`^${pattern.split('*').map(escaped).join('.*')}$`, 'su'),
    )
  }

  has(clientId: string): boolean {
    return this.allowsAll || this.#patterns.some((pattern) => pattern.test(clientId))
  }
}

function escaped(text: string): string {
  return text.replace(/[\\^$.|?*+()[\]{}/]/g, '\\$&')
}
