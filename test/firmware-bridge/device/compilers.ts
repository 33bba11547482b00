/** Compilers of C, and what they are run on: found on the PATH, or said how to get them. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(
  new URL(import.meta.url.includes('/dist/') ? '../../../../' : '../../../', import.meta.url),
)
export const DEVICE = join(ROOT, 'firmware-bridge/device')

/** Debian's package of each tool. */
const PACKAGES = {
  cc: 'gcc libc6-dev',
  'c++': 'g++',
  'arm-none-eabi-gcc': 'gcc-arm-none-eabi',
  'avr-gcc': 'gcc-avr avr-libc',
  'qemu-system-arm': 'qemu-system-arm',
  'qemu-system-avr': 'qemu-system-misc',
} as const

export type Tool = keyof typeof PACKAGES

/** @returns why these tools cannot be used here, in one line; null when they can */
export function missing(...tools: Tool[]): string | null {
  const absent = tools.filter((tool) => spawnSync(tool, ['--version']).status !== 0)
  if (absent.length === 0) return null
  const packages = absent.map((tool) => PACKAGES[tool]).join(' ')
  return `${absent.join(', ')} not found: apt-get install --no-install-recommends ${packages}`
}

/** A green build must mean that these ran, so with CI=true it is an error. @returns whether to skip, and has said so */
export function isSkipped(what: string, ...tools: Tool[]): boolean {
  const reason = missing(...tools)
  if (reason === null) return false
  if (process.env.CI === 'true') throw new Error(`${what} cannot be tested here: ${reason}`)
  console.log(`${what} is SKIPPED: ${reason}`)
  return true
}

/** All warnings are errors: a firmware's build may have them so. */
export const WARNINGS = ['-Wall', '-Wextra', '-Werror', '-pedantic']

/** @throws with what the compiler says */
export function compile(tool: Tool, args: readonly string[]): void {
  try {
    execFileSync(tool, [...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string }
    throw new Error(`${tool} ${args.join(' ')}\n${stderr ?? message}`)
  }
}

/** A directory for what is built, gone with `remove`. */
export function buildDirectory(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'headwater-device-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}
