/** What the package of this machine's architecture puts where, and that its Node runs what is in it. Built as it is, but not compressed. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { isOnPath } from '../support/programs.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const run = promisify(execFile)
const WAIT = { timeout: 60_000, interval: 100 }
const canBuild = process.arch === 'x64' && ['dpkg-deb', 'xz', 'openssl', 'readelf', 'npm'].every(isOnPath)

let root: string
const app = () => join(root, 'opt/headwater/package/app')
const node = () => join(root, 'opt/headwater/package/bin/node')
const files = () =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))

describe.skipIf(!canBuild)('the package', () => {
  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'headwater-package-'))
    await run(join(ROOT, 'deploy/raspberry-pi/build.sh'), ['--arch', 'amd64', '--stage', root])
  }, 600_000)
  afterAll(() => rmSync(root, { recursive: true, force: true }))

  it('holds the commands, the units, the configuration and what a maintainer of Debian packages expects', () => {
    const found = new Set(files())
    const expected = [
      'DEBIAN/control',
      'DEBIAN/postinst',
      'etc/headwater/headwater-bridge.yaml',
      'etc/headwater/headwater.yaml',
      'lib/systemd/system/headwater-bridge.service',
      'lib/systemd/system/headwater.service',
      'opt/headwater/package/NODE-LICENSE',
      'opt/headwater/package/VERSION',
      'opt/headwater/package/app/dist/bridge.js',
      'opt/headwater/package/app/dist/cli.js',
      'opt/headwater/package/app/dist/dashboard/index.html',
      'opt/headwater/package/app/dist/demo.js',
      'opt/headwater/package/app/dist/openapi.json',
      'opt/headwater/package/bin/node',
      'usr/sbin/headwater-release',
      'usr/share/doc/headwater/changelog.gz',
      'usr/share/doc/headwater/copyright',
    ]
    expect(expected.filter((path) => !found.has(path))).toEqual([])
    const conffiles = readFileSync(join(root, 'DEBIAN/conffiles'), 'utf8').trim().split('\n')
    const configuration = [...found].filter((path) => path.startsWith('etc/')).map((path) => `/${path}`)
    expect(conffiles).toEqual(configuration.toSorted())
  })

  it('holds nothing that no program loads', () => {
    const useless = /\.(map|md|d\.[mc]?ts|[mc]?ts|cc|gyp)$|\.musl\.node$|\/dist\/test\//
    const isLicence = /license[^/]*$/i
    const found = files().filter((path) => path.startsWith('opt/headwater/package/app/node_modules/'))
    expect(found.filter((path) => useless.test(path) && !isLicence.test(path))).toEqual([])
    const native = found.filter((path) => path.endsWith('.node'))
    expect(native.filter((path) => /arm|darwin|win32|android/.test(path))).toEqual([])
    expect(native.length).toBeGreaterThan(2)
    expect(
      readdirSync(join(app(), 'dist'), { recursive: true }).filter((path) => useless.test(String(path))),
    ).toEqual([])
  })

  it('holds the programs as they were bundled, which the tests ran, and no other file of them', () => {
    const entries = readdirSync(join(app(), 'dist'), { recursive: true, withFileTypes: true })
    const scripts = entries.filter((entry) => entry.isFile() && !entry.parentPath.endsWith('/dashboard'))
    const paths = scripts.map((entry) => join(entry.parentPath, entry.name).slice(app().length + 1))
    const isBundled = /^dist\/((cli|bridge|demo)\.js|openapi\.json|parts\/[a-z0-9-]+\.js)$/
    expect(paths.filter((path) => !isBundled.test(path))).toEqual([])
    const differing = paths.filter(
      (path) => !readFileSync(join(app(), path)).equals(readFileSync(join(ROOT, path))),
    )
    expect(differing).toEqual([])
  })

  it('keeps its configuration from others: passwords may come to stand in it', () => {
    for (const name of ['headwater.yaml', 'headwater-bridge.yaml']) {
      expect(statSync(join(root, 'etc/headwater', name)).mode & 0o777).toBe(0o640)
    }
  })

  it('brings a Node that runs the commands', async () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
    expect((await run(node(), [join(app(), 'dist/cli.js'), '--version'])).stdout.trim()).toBe(version)
    // by the command itself, which finds the Node beside it
    const command = await run(join(app(), 'bin/headwater'), ['--version'], { env: { PATH: '/usr/bin:/bin' } })
    expect(command.stdout.trim()).toBe(version)
    expect((await run(join(app(), 'bin/headwater-bridge'), ['--version'])).stdout.trim()).toBe(version)
  })

  it('starts a broker that serves its page, describes itself and runs its demo', async () => {
    const args = ['start', '--demo', '--data', join(root, 'demo-data')]
    const address = { HEADWATER_MQTT_LISTENERS: '127.0.0.1:0', HEADWATER_HTTP_ADDRESS: '127.0.0.1:0' }
    const broker = spawn(join(app(), 'bin/headwater'), args, {
      cwd: root,
      env: { ...process.env, ...address },
    })
    const ended = once(broker, 'exit')
    try {
      let said = ''
      broker.stdout.on('data', (chunk) => {
        said += chunk
      })
      const page = await vi.waitFor(() => /http:\/\/127\.0\.0\.1:\d+/.exec(said)![0], WAIT)
      const text = async (path: string) => (await fetch(page + path)).text()
      expect(await text('/')).toContain('app.js')
      expect((await text('/app.js')).length).toBeGreaterThan(10_000)
      expect(JSON.parse(await text('/openapi.json')).paths['/api/v1/clients']).toBeDefined()
      await vi.waitFor(async () => expect(await text('/api/v1/clients')).toContain('headwater-demo-'), WAIT)
    } finally {
      broker.kill()
      await ended
    }
    expect(broker.exitCode).toBe(0)
  }, 120_000)

  it('brings all packages that the program depends on, whole enough to be loaded', async () => {
    const { dependencies } = JSON.parse(readFileSync(join(app(), 'package.json'), 'utf8'))
    const names = Object.keys(dependencies)
    const script = `for (const name of ${JSON.stringify(names)}) await import(name); process.exit(0)`
    await run(node(), ['--input-type=module', '-e', script], { cwd: app() })
  }, 120_000)

  it('has native code where it counts: LevelDB, serial ports, checksums', async () => {
    const script = `
      import { ClassicLevel } from 'classic-level'
      import { crc32c } from '@node-rs/crc32'
      import { autoDetect } from '@serialport/bindings-cpp'
      const db = new ClassicLevel(${JSON.stringify(join(root, 'level'))})
      await db.put('a', 'b')
      console.log(await db.get('a'), crc32c('123456789').toString(16), typeof autoDetect().open)`
    const { stdout } = await run(node(), ['--input-type=module', '-e', script], { cwd: app() })
    expect(stdout.trim()).toBe('b e3069283 function')
  })

  it('has a configuration that is taken, with the places of a package', async () => {
    const file = join(root, 'etc/headwater/headwater.yaml')
    const text = readFileSync(file, 'utf8')
    expect(text).toMatch(/^data: \/var\/lib\/headwater$/m)
    expect(text).not.toMatch(/^[^#]*: \.\//m)
    const check = [join(app(), 'dist/cli.js'), 'check', file, '--data', join(root, 'data')]
    // whatever else runs on this machine
    const env = { ...process.env, HEADWATER_MQTT_LISTENERS: '127.0.0.1:0' }
    await expect(run(node(), check, { env })).resolves.toBeDefined()
    const bridge = join(root, 'etc/headwater/headwater-bridge.yaml')
    expect(readFileSync(bridge, 'utf8')).toMatch(/^data: \/var\/lib\/headwater-bridge$/m)
    await expect(
      run(node(), [join(app(), 'dist/bridge.js'), 'config', 'check', bridge]),
    ).resolves.toBeDefined()
  })

  it('asks for a C library that Debian has had since 2021', () => {
    const control = readFileSync(join(root, 'DEBIAN/control'), 'utf8')
    const [, version] = /libc6 \(>= 2\.([0-9]+)\)/.exec(control) ?? []
    expect(Number(version)).toBeGreaterThan(0)
    expect(Number(version)).toBeLessThanOrEqual(31)
  })
})
