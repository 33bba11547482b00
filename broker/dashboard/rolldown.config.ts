/**
 * Makes the dashboard's files: one script, one style sheet, the page and its icon, each also compressed beside it, so that the
 * broker compresses nothing. `npm run build` calls it.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, gzip, constants as zlib } from 'node:zlib'
import { defineConfig, type Plugin } from 'rolldown'

const HERE = import.meta.dirname
const ASSETS = join(HERE, '../../dist/dashboard')
/** In the order of the cascade; the charts' own sheet goes first. */
const SHEETS = ['base.css', 'shell.css', 'parts.css', 'views.css']
const CHARTS_SHEET = join(HERE, '../../node_modules/uplot/dist/uPlot.min.css')

/** What is no script goes beside it, and all of it is compressed once the script is there. */
const page: Plugin = {
  name: 'page',
  async writeBundle() {
    await mkdir(ASSETS, { recursive: true })
    const sheets = [CHARTS_SHEET, ...SHEETS.map((name) => join(HERE, 'styles', name))]
    const styles = await Promise.all(sheets.map((sheet) => readFile(sheet, 'utf8')))
    await writeFile(join(ASSETS, 'app.css'), styles.map(withoutComments).join('\n'))
    for (const name of ['index.html', 'icon.svg']) {
      await writeFile(join(ASSETS, name), await readFile(join(HERE, 'page', name)))
    }
    const names = (await readdir(ASSETS)).filter((name) => !/\.(gz|br)$/.test(name))
    await Promise.all(names.map((name) => compress(join(ASSETS, name))))
  },
}

function withoutComments(css: string): string {
  return css.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s+/gm, '')
}

async function compress(file: string): Promise<void> {
  const bytes = await readFile(file)
  const params = { [zlib.BROTLI_PARAM_QUALITY]: 11, [zlib.BROTLI_PARAM_SIZE_HINT]: bytes.length }
  await writeFile(`${file}.gz`, await promisify(gzip)(bytes, { level: 9 }))
  await writeFile(`${file}.br`, await promisify(brotliCompress)(bytes, { params }))
}

export default defineConfig({
  input: { app: join(HERE, 'page/main.tsx') },
  platform: 'browser',
  tsconfig: join(HERE, 'tsconfig.json'),
  plugins: [page],
  output: { dir: ASSETS, entryFileNames: '[name].js', format: 'esm', minify: true, cleanDir: true },
  transform: { target: 'es2022' },
  // A machine that does much else is no fault of the build.
  checks: { bundlerTimings: false },
})
