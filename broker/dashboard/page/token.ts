/** The API's token: it stays in this tab until the tab is closed. */
import type { TokenPlace } from '../api/api.ts'

const PLACE = 'headwater-token'

export class Token implements TokenPlace {
  /** Where storage is forbidden. */
  #token: string | null = null

  get(): string | null {
    try {
      return sessionStorage.getItem(PLACE) ?? this.#token
    } catch {
      return this.#token
    }
  }

  set(token: string): void {
    this.#token = token
    try {
      sessionStorage.setItem(PLACE, token)
    } catch {}
  }
}
