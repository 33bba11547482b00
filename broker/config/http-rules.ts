/** Rules between the keys of the HTTP listener. */
import { formatListenAddress, isLoopback, parseListenAddress } from './address.ts'
import type { Path } from './document.ts'
import type { RuleProblem } from './rules.ts'
import type { Config } from './schema.ts'

export function httpProblems({ http, mqtt }: Config): RuleProblem[] {
  if (http.address === null) return []
  const path = ['http', 'address']
  const parsed = parseListenAddress(http.address)
  if (typeof parsed === 'string') {
    const message = `"${http.address}" is no address to listen on: ${parsed}`
    return [{ path, message, hint: 'write host:port, [IPv6]:port, a port alone, or null for none' }]
  }
  const problems: RuleProblem[] = []
  if (!isLoopback(parsed) && http.tokenFile === undefined) {
    const message = `http.address ${formatListenAddress(parsed)} is reached from other machines, and there is no http.tokenFile`
    const hint =
      'write a token into a file (`openssl rand -hex 16`) and name it in http.tokenFile, or listen on 127.0.0.1'
    problems.push({ path, message, hint })
  }
  const own = formatListenAddress(parsed)
  const same = mqtt.listeners.findIndex(({ address }) => {
    const other = parseListenAddress(address)
    return typeof other !== 'string' && formatListenAddress(other) === own
  })
  if (parsed.port !== 0 && same >= 0) {
    const message = `${own} is listened on twice (mqtt.listeners[${same}] is the same)`
    problems.push({ path, message, hint: 'give one of them another port' })
  }
  return problems
}

/** What is allowed and probably not meant. */
export function httpWarnings({ http }: Config, place: (path: Path) => string): string[] {
  if (http.address === null || http.allowedHosts.length === 0 || http.tokenFile !== undefined) return []
  const where = place(['http', 'allowedHosts'])
  return [
    `${where}: without http.tokenFile only this machine is answered, and no request that a proxy forwards - set http.tokenFile`,
  ]
}
