/**
 * The examples of the commands' help, of which docs/commands.md and docs/bridge-commands.md are made: each runs by itself, in one place that has what they
 * name: streams `events`, `states` and `machines`, upstreams `central` and `archive`, a client `pump-7`, a backup.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isOnPath } from '../support/programs.ts'
import { blocksOf, type Mark, parseMark } from './blocks.ts'
import { textOf } from './documents.ts'
import { Machine, whyNoMachine } from './machine.ts'
import { scriptOf } from './script.ts'

const noMachine = whyNoMachine()
const isCi = process.env.CI === 'true'
const MS_MAX = 120_000

const SET_UP = `
mkdir -p /mnt/usb /run/secrets /etc/headwater ~/.zfunc ~/.config/fish/completions /usr/local/share/man/man1
openssl rand -base64 24 >/run/secrets/sensor-7
cat >headwater.yaml <<'END'
streams:
  - { name: states, topics: ["plant/+/on"], cleanup: compact }
  - { name: machines, topics: ["plant/+/state"], cleanup: compact, table: true }
  - { name: events, topics: ["#"] }
upstreams:
  - { name: central, kind: archive, directory: /mnt/usb/central }
  - { name: archive, kind: archive, directory: /mnt/usb/archive }
END
cp headwater.yaml edge.yaml
serve headwater 'headwater start --demo'
for topic in plant/7/state plant/7/on; do npx mqtt pub -q 1 -t $topic -m running; done
headwater backup /mnt/usb/line-7.hwb.gz
headwater backup line-7.hwb
`

const BRIDGE_SET_UP = `
mkdir -p /etc/headwater
serve headwater 'headwater start'
echo 'links: [{ kind: udp, address: "127.0.0.1:1884" }]' >headwater-bridge.yaml
cp headwater-bridge.yaml bridge.yaml
cp headwater-bridge.yaml /etc/headwater/bridge.yaml
cp headwater-bridge.yaml /etc/headwater/headwater-bridge.yaml
serve headwater-bridge 'headwater-bridge start'
`

/** What an example needs before it, by how it begins. */
const BEFORE: readonly (readonly [string, string])[] = [
  ['headwater start', 'stop_serving headwater; rm -rf /tmp/try'],
  ['headwater init', 'mv headwater.yaml kept.yaml'],
  [
    'headwater users passwd',
    'exec </run/secrets/sensor-7; headwater users list | grep -q sensor-7 || echo long-enough | headwater users add sensor-7',
  ],
  ['headwater users add', 'exec </run/secrets/sensor-7; headwater users remove sensor-7 || true'],
  [
    'headwater users remove',
    'headwater users list | grep -q sensor-7 || echo long-enough | headwater users add sensor-7',
  ],
  [
    'headwater clients disconnect',
    "is_serving headwater || serve headwater 'headwater start --demo'; beside 'npx mqtt sub -i pump-7 -t x'; await 5 eval 'headwater clients | grep -q pump-7'",
  ],
  ['headwater rename', 'stop_serving headwater'],
  ['headwater restore', 'rm -rf /var/lib/headwater /tmp/look'],
  ['headwater-bridge init', 'mv headwater-bridge.yaml kept.yaml'],
]
/** What follows, so that the next one finds its place again. */
const AFTER: readonly (readonly [string, string])[] = [
  ['headwater init', 'mv kept.yaml headwater.yaml'],
  ['headwater-bridge init', 'mv kept.yaml headwater-bridge.yaml'],
  ['headwater start', 'stop_serving headwater'],
  ['headwater clients disconnect', 'end_beside || true'],
  ['headwater rename', 'rm -rf data /mnt/usb/central /mnt/usb/archive'],
  ['headwater users', 'for name in sensor-7; do headwater users remove $name || true; done'],
]
/** Those that ask on a terminal. */
const ASKS = /^headwater (clients disconnect|sync rewind)(?!.*--yes)/
/** Those that name an offset which the log of a test has not reached: they are told so. */
const BEYOND = /^headwater (read|table) .*--from 1200|--to 120000/
const NOT_RUN: readonly (readonly [RegExp, string])[] = [
  [/\bssh\b/, 'it takes another machine'],
  [/\bsudo\b/, 'it needs the user of an installed package'],
  [/--device|--upload/, 'it takes a device'],
]

const first = (pairs: readonly (readonly [string, string])[], text: string) =>
  pairs.find(([begin]) => text.startsWith(begin))?.[1] ?? ''

describe.each([
  ['docs/commands.md', SET_UP],
  ['docs/bridge-commands.md', BRIDGE_SET_UP],
])('%s', (file, setUp) => {
  let machine: Machine
  const blocks = blocksOf(file, textOf(file))
  const run = noMachine === undefined || isCi

  beforeAll(async () => {
    if (!run) return
    machine = await Machine.boot()
    const { code, output } = await machine.run(`set -e\n${setUp}`, MS_MAX)
    expect(code, output).toBe(0)
  }, MS_MAX)
  afterAll(async () => {
    await machine?.halt()
  })

  for (const block of blocks)
    for (const command of block.commands) {
      const reason =
        NOT_RUN.find(([pattern]) => pattern.test(command.text))?.[1] ??
        (run ? undefined : noMachine) ??
        (!isCi && /\| *(jq|man|less)\b/.test(command.text) && !isOnPath(/\| *(\w+)/.exec(command.text)![1]!)
          ? 'a program is not there'
          : undefined)
      const name = `line ${command.line}: ${command.text}`
      if (reason !== undefined) it.skip(`${name} (${reason})`, () => {})
      else
        it(name, { timeout: MS_MAX + 30_000 }, async () => {
          const need = /^headwater (start|rename|init)|headwater-bridge/.test(command.text)
            ? 'run'
            : 'broker: --demo'
          const mark = parseMark(need) as Mark
          const text = ASKS.test(command.text)
            ? `script -qefc '${command.text}' /dev/null <<<y`
            : command.text
          const script = scriptOf(
            { ...block, commands: [{ ...command, text }] },
            { ...mark, setUp: first(BEFORE, command.text) },
          )
          const { code, output } = await machine.run(`${script}\n${first(AFTER, command.text)}`, MS_MAX)
          const place = `${file}:${command.line}: exit code ${code}: ${command.text}\n${output}`
          if (BEYOND.test(command.text)) expect(output, place).toContain('is not written yet')
          else expect(code, place).toBe(0)
        })
    }
})
