/**
 * `start` in two processes. The command line and the configuration are read by a child process that ends before the program begins: their libraries
 * (commander, TypeBox, YAML) take 15 MB, and what runs for years does not carry what it needs for a fifth of a second. Measured: a
 * thread in its place keeps 2 MB of them.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { ExitCode } from './exit-codes.ts'

/** The command by which `start` calls itself. */
export const PLAN_COMMAND = 'plan-start'

/** @param program its file @returns null when the child has said it all: help, or what is wrong. */
export async function planApart<Plan>(program: string, args: readonly string[]): Promise<Plan | null> {
  const child = fork(program, [PLAN_COMMAND, ...args], { execArgv: [] })
  let plan: Plan | null = null
  child.once('message', (message) => {
    plan = message as Plan
  })
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
  if (signal !== null) throw new Error(`reading the configuration was ended by ${signal}`)
  if (plan === null) process.exitCode = code ?? ExitCode.failed
  return plan
}

/** In the child. @param print for a person who calls the command by its name */
export async function sendPlan(plan: object, print: () => void): Promise<void> {
  if (process.send === undefined) print()
  else await new Promise((resolve) => process.send!(plan, resolve))
  if (process.connected) process.disconnect()
}
