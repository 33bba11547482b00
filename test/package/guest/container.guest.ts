/**
 * The container that deploy/raspberry-pi/README.md has built and run, by its own commands, with podman on this machine: it serves, survives, is nobody's root,
 * and ends when it is asked to. Its base is the registry's where that is reached; otherwise a Debian of the same suite is given that name.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { connectAsync } from 'mqtt'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { blocksOf, type Mark } from '../../docs/blocks.ts'
import { textOf } from '../../docs/documents.ts'
import { packageFile } from './guest.ts'

const README = 'deploy/raspberry-pi/README.md'
const HERE = 'test/package/guest/container.guest.ts'
const DEPLOY = fileURLToPath(new URL('../../../deploy/raspberry-pi/', import.meta.url))
const BASE = 'docker.io/library/debian:trixie-slim'
const COUNT = 200
const STEP_MS_MAX = 240_000

const base = process.env.HEADWATER_TEST_BASE
if (base === undefined)
  process.stderr.write('!!! the container is not tested here: podman is not there (apt-get install podman)\n')

let home: string
let port: number

function podman(...args: string[]): string {
  return sh(`podman ${args.map((arg) => `'${arg}'`).join(' ')}`)
}

/** @throws Error with what it put out */
function sh(script: string): string {
  const env = {
    ...process.env,
    CONTAINERS_CONF: join(home, 'containers.conf'),
    CONTAINERS_STORAGE_CONF: join(home, 'storage.conf'),
  }
  const { status, stdout, stderr } = spawnSync('bash', ['-eo', 'pipefail', '-c', script], {
    cwd: home,
    env,
    encoding: 'utf8',
    timeout: STEP_MS_MAX,
  })
  if (status !== 0) throw new Error(`${script}\nended with ${status}:\n${stdout}${stderr}`)
  return stdout.trim()
}

/** An own store; where this machine has no systemd, or both kinds of cgroups, that is told to podman. */
function configure(): void {
  const isHybrid = existsSync('/sys/fs/cgroup/unified')
  const files = Number(execFileSync('bash', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }))
  const limits = `default_ulimits = ["nofile=${Math.min(files, 16_384)}", "nproc=2048"]`
  const engine = `cgroup_manager = "cgroupfs"\nevents_logger = "file"${isHybrid ? '\nruntime = "runc"' : ''}`
  writeFileSync(join(home, 'containers.conf'), `[containers]\n${limits}\n[engine]\n${engine}\n`)
  const store = `driver = "overlay"\ngraphroot = "${home}/storage"\nrunroot = "${home}/run"`
  writeFileSync(join(home, 'storage.conf'), `[storage]\n${store}\n`)
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** The commands of the README's blocks, each with what its mark sets up. The port of this machine may be taken. */
const blocks = () =>
  blocksOf(README, textOf(README))
    .filter(({ mark }) => typeof mark !== 'string' && mark.detail === HERE)
    .map(({ commands, mark }) => ({
      setUp: (mark as Mark).setUp,
      commands: commands.map(({ text }) => text.replace('-p 1883:1883', `-p 127.0.0.1:${port}:1883`)),
    }))

async function publish(from: number): Promise<void> {
  const password = readFileSync(join(home, 'sensor-1.txt'), 'utf8').trim()
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, {
    username: 'sensor-1',
    password,
    protocolVersion: 5,
    reconnectPeriod: 0,
  })
  const numbers = Array.from({ length: COUNT }, (_, index) => String(from + index))
  await Promise.all(
    numbers.map((number) => client.publishAsync('plant/sensor-1/temperature', number, { qos: 1 })),
  )
  await client.endAsync()
}

const values = () =>
  sh('podman exec headwater headwater read events --count 100000')
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => Number((JSON.parse(line) as { value: string }).value))
    .toSorted((a, b) => a - b)
const counted = (count: number) => Array.from({ length: count }, (_, index) => index)
const inspected = (format: string) => podman('inspect', '--format', format, 'headwater')

/** The health check as the image has it, run as an engine would. */
const health = () => spawnSync('bash', ['-c', healthCommand()], { encoding: 'utf8' }).status
function healthCommand(): string {
  const [kind, ...command] = JSON.parse(inspected('{{json .Config.Healthcheck.Test}}')) as string[]
  expect(kind).toBe('CMD')
  const pid = inspected('{{.State.Pid}}')
  return `nsenter --target ${pid} --all ${command.map((arg) => `'${arg.replaceAll("'", "'\\''")}'`).join(' ')}`
}

async function serving(): Promise<void> {
  const until = Date.now() + STEP_MS_MAX
  while (health() !== 0) {
    if (Date.now() > until) throw new Error(podman('logs', 'headwater'))
    await delay(200)
  }
}

describe.skipIf(base === undefined)('the container', () => {
  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'headwater-container-'))
    port = await freePort()
    configure()
    const folder = join(home, 'deploy/raspberry-pi')
    mkdirSync(folder, { recursive: true })
    copyFileSync(join(DEPLOY, 'Containerfile'), join(folder, 'Containerfile'))
    const architecture = execFileSync('dpkg', ['--print-architecture'], { encoding: 'utf8' }).trim()
    copyFileSync(packageFile('current'), join(folder, `headwater_0.1.0_${architecture}.deb`))
    try {
      podman('pull', '--quiet', BASE)
    } catch {
      sh(`tar -C '${base}' -c . | podman import --quiet - ${BASE}`)
      process.stderr.write(`${BASE} cannot be fetched here: a Debian of debootstrap has its name\n`)
    }
  })
  afterAll(() => {
    if (home === undefined) return
    sh('podman rm -fa; podman volume rm -fa; podman rmi -fa; podman system reset -f')
    rmSync(home, { recursive: true, force: true })
  })

  it('is built by the commands of the document', () => {
    for (const command of blocks()[0]!.commands) sh(command)
    expect(readFileSync(join(home, 'headwater.yaml'), 'utf8')).toContain('data: /var/lib/headwater')
  })

  it('runs by them, with a user, and says that it is well', async () => {
    const [run, addUser, status] = blocks()[1]!.commands as [string, string, string]
    sh(blocks()[1]!.setUp)
    sh(run)
    sh(addUser)
    // a person is slower
    await serving()
    expect(sh(status)).toMatch(/^edge +line-7 /m)
  })

  it('runs as a user of its own, without the right to write elsewhere', () => {
    const pid = inspected('{{.State.Pid}}')
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    expect(/^Uid:\t(\d+)/m.exec(status)?.[1]).not.toBe('0')
    expect(/^CapEff:\t(\w+)/m.exec(status)?.[1]).toBe('0000000000000000')
    expect(sh('podman exec headwater stat -c "%U %a" /var/lib/headwater')).toBe('headwater 700')
    expect(() => sh('podman exec headwater touch /etc/headwater/x')).toThrow(/Read-only|denied/)
    // the package is used to build it, and not in it
    expect(sh('podman exec headwater find / -xdev -name "headwater*.deb" 2>/dev/null || true')).toBe('')
  })

  it('takes messages over the network from users alone', async () => {
    const stranger = connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5, reconnectPeriod: 0 })
    await expect(stranger).rejects.toThrow(/not authorized/i)
    await publish(0)
    expect(values()).toEqual(counted(COUNT))
  })

  it('has all of them after SIGKILL and a start, and takes more', async () => {
    podman('kill', '--signal', 'KILL', 'headwater')
    expect(podman('wait', 'headwater')).toBe('137')
    podman('start', 'headwater')
    await serving()
    expect(values()).toEqual(counted(COUNT))
    await publish(COUNT)
    expect(values()).toEqual(counted(2 * COUNT))
    const status = readFileSync(`/proc/${inspected('{{.State.Pid}}')}/status`, 'utf8')
    process.stderr.write(`resident in the container: ${/^VmRSS:\s+(\d+ kB)/m.exec(status)?.[1]}\n`)
  })

  it('is called unwell while it does not answer', () => {
    const pid = inspected('{{.State.Pid}}')
    const command = `timeout 5 ${healthCommand()}`
    process.kill(Number(pid), 'SIGSTOP')
    try {
      expect(spawnSync('bash', ['-c', command]).status).not.toBe(0)
    } finally {
      process.kill(Number(pid), 'SIGCONT')
    }
    expect(health()).toBe(0)
  })

  it('ends by its stop signal, cleanly, and another container has its volume', async () => {
    podman('stop', 'headwater')
    expect(inspected('{{.State.ExitCode}}')).toBe('0')
    podman('rm', 'headwater')
    sh(blocks()[1]!.commands[0]!)
    await serving()
    expect(values()).toEqual(counted(2 * COUNT))
    podman('stop', 'headwater')
  })
})
