/** The files that the broker serves, as `npm run build` made them. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '../../..')
const SOURCE = join(ROOT, 'broker/dashboard')
const ASSETS = join(ROOT, 'dist/dashboard')
const NAMES = ['app.css', 'app.js', 'icon.svg', 'index.html']
const COMPRESSED_BYTES_MAX = 150_000

const text = (name: string) => readFileSync(join(ASSETS, name), 'utf8')

describe('the files of the page', () => {
  it('are these, each compressed in both ways beside it', () => {
    expect(readdirSync(ASSETS).toSorted()).toEqual(
      NAMES.flatMap((name) => [name, `${name}.br`, `${name}.gz`]).toSorted(),
    )
    for (const name of NAMES) {
      const plain = readFileSync(join(ASSETS, name))
      expect(gunzipSync(readFileSync(join(ASSETS, `${name}.gz`))).equals(plain), name).toBe(true)
      expect(brotliDecompressSync(readFileSync(join(ASSETS, `${name}.br`))).equals(plain), name).toBe(true)
    }
  })

  it('are small', () => {
    for (const ending of ['gz', 'br']) {
      const bytes = NAMES.reduce((sum, name) => sum + statSync(join(ASSETS, `${name}.${ending}`)).size, 0)
      expect(bytes, ending).toBeLessThan(COMPRESSED_BYTES_MAX)
      expect(bytes, ending).toBeGreaterThan(10_000)
    }
  })

  it('are made from nothing newer', () => {
    const made = statSync(join(ASSETS, 'app.js')).mtimeMs
    const newer = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
      .filter((path) => /\.(tsx?|css|html|svg)$/.test(path))
      .filter((path) => statSync(join(SOURCE, path)).mtimeMs > made)
    expect(newer, 'run `npm run build`').toEqual([])
  })

  it('refer to no other host', () => {
    // Names of XML vocabularies look like addresses and are none.
    const vocabularies = /http:\/\/www\.w3\.org\/(?:2000\/svg|1998\/Math\/MathML|1999\/xhtml|1999\/xlink)/g
    for (const name of NAMES) {
      const found = text(name)
        .replace(vocabularies, '')
        .match(/(?:https?:|wss?:)?\/\/[\w.-]+\.\w+[^\s"'`]*/g)
      expect(found ?? [], name).toEqual([])
    }
    expect(text('app.css')).not.toMatch(/@import|url\(/)
  })

  it('need no exception from a strict policy: no script, style or handler stands in the page', () => {
    const page = text('index.html')
    expect(page).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=|javascript:/i)
    expect([...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, name]) => name)).toEqual([
      'icon.svg',
      'app.css',
      'app.js',
    ])
    expect(text('app.js')).not.toMatch(/\beval\(|new Function\(/)
  })
})

it('no text of the page is ever read as markup', () => {
  const files = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' }).filter((path) =>
    /\.tsx?$/.test(path),
  )
  expect(files.length).toBeGreaterThan(30)
  const markup =
    /innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|srcdoc|parseFromString/i
  expect(files.filter((path) => markup.test(readFileSync(join(SOURCE, path), 'utf8')))).toEqual([])
})
