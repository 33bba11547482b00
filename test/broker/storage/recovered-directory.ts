/** A data directory that is damaged and opened again, for the tests of its recovery. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect } from 'vitest'
import {
  type DataDirectory,
  type Identity,
  openDataDirectory,
} from '../../../broker/storage/data-directory.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../broker/storage/store.ts'
import { RecordingSink } from '../log/support.ts'

/** Of the test that runs. */
export let root: string
export let path: string
export let sink: RecordingSink
let open: DataDirectory[]

/** To be called once in a file of tests. */
export function useDataDirectories(): void {
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'headwater-data-'))
    path = join(root, 'data')
    sink = new RecordingSink()
    open = []
  })
  afterEach(async () => {
    await Promise.all(open.map(({ facts }) => facts.close()))
    rmSync(root, { recursive: true, force: true })
  })
}

export const EDGE = { name: 'edge-1', isExplicit: true }
export const OTHER = { name: 'host', isExplicit: false }
export const NAMES = ['catalog.json', 'facts', 'headwater.json', 'log']

/** From now on the directory is this one. */
export function moveTo(other: string): void {
  path = other
}

export async function openAt(edge = EDGE, disk: Disk = nodeDisk): Promise<DataDirectory> {
  const data = await openDataDirectory(disk, path, edge, sink)
  open.push(data)
  return data
}

/** A directory with a log, with facts in a table and in a write-ahead file. */
export async function make(): Promise<Identity> {
  for (const part of [0, 1, 2]) {
    const { facts, identity } = await openDataDirectory(nodeDisk, path, EDGE)
    for (let i = 0; i < 60; i++) await facts.put(`fact ${part}/${i}`, Buffer.alloc(200, `${part}${i}`))
    await facts.close()
    if (part < 2) continue
    mkdirSync(join(path, 'log', 'main', '00000001'), { recursive: true })
    writeFileSync(join(path, 'log', 'main', 'manifest.json'), '{}')
    writeFileSync(join(path, 'catalog.json'), '{}')
    return identity
  }
  throw new Error('unreachable')
}

export const file = (...names: string[]) => join(path, ...names)
export const factFile = (end: string) =>
  file('facts', readdirSync(file('facts')).find((name) => name.endsWith(end))!)

export function damage(target: string): void {
  const bytes = readFileSync(target)
  for (let at = bytes.length >> 1; at < bytes.length; at++) bytes[at] = 0xa5
  writeFileSync(target, bytes)
}

export async function factsOf({ facts }: DataDirectory): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for await (const page of facts.pages()) for (const [name, value] of page) found.set(name, value.toString())
  return found
}

/** None is wrong. */
export function expectTrue(facts: Map<string, string>): void {
  for (const [name, value] of facts) {
    const [, part, i] = /^fact (\d)\/(\d+)$/.exec(name)!
    expect(value).toBe(Buffer.alloc(200, `${part}${i}`).toString())
  }
}

/** Every file below with its bytes, and what changed when. */
export function snapshot(): unknown[] {
  const own = statSync(path).mtimeMs
  const below = readdirSync(path, { recursive: true, withFileTypes: true }).map((entry) => {
    const name = join(entry.parentPath, entry.name)
    return [name, entry.isFile() ? readFileSync(name, 'latin1') : null, statSync(name).mtimeMs]
  })
  return [own, ...below]
}

export const quarantined = () =>
  readdirSync(file('quarantine')).flatMap((name) => readdirSync(file('quarantine', name)))
