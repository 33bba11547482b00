/** Where links into docs/ lead. */
import { readFileSync } from 'node:fs'
import { ROOT } from '../structure/sources.ts'

/** Anchors of headings, as GitHub makes them, and those that are written out. */
function anchorsOf(page: string): Set<string> {
  const text = readFileSync(`${ROOT}docs/${page}`, 'utf8')
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
  return new Set([...headings, ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id]) => id!)])
}

const pages = new Map<string, Set<string>>()

/** @param link such as `operate.md#disk-full` */
export function leadsSomewhere(link: string): boolean {
  const [page, anchor] = link.split('#') as [string, string?]
  const anchors = pages.get(page) ?? anchorsOf(page)
  pages.set(page, anchors)
  return anchor === undefined || anchors.has(anchor)
}
