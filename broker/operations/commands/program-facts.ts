/** What help and manual say beside the commands. */
import { EXIT_CODES } from '../exit-codes.ts'
import type { ProgramFacts } from '../terminal/manual/description.ts'

export const PROGRAM_FACTS: ProgramFacts = {
  configuration:
    'Without --config the file is $HEADWATER_CONFIG, else headwater.yaml, else /etc/headwater/headwater.yaml, else defaults.',
  environment: [
    [
      'HEADWATER_DATA, HEADWATER_EDGE, ...',
      'single keys of the configuration (see the file that init writes)',
    ],
    ['HEADWATER_LOG', 'debug, info, warn, error or silent: the log of start'],
    ['HEADWATER_DEBUG=1', 'print stacks of errors'],
    ['NO_COLOR=1, FORCE_COLOR=1', 'no colours; colours in a pipe, too'],
  ],
  exitCodes: EXIT_CODES,
  files: [
    [
      '/etc/headwater/headwater.yaml',
      'the configuration, where none is named and none is in the working directory',
    ],
    [
      '/var/lib/headwater',
      'the data directory of the packaged service; without a word of the configuration it is ./data',
    ],
    ['DATA/headwater.sock', 'the control socket of a running broker, by which the other commands ask it'],
    ['DATA/users.json', 'users and hashes of their passwords'],
    ['DATA/quarantine', 'what was damaged and put aside, each with the reason'],
  ],
  examples: [
    'headwater start --demo',
    'headwater doctor',
    'headwater read events --from 2026-03-01T12:00:00Z --count 10',
    'headwater status --json',
  ],
}

/** What people try first, by what other programs have. */
export const NO_COMMANDS: Readonly<Record<string, string>> = {
  tail: '`headwater read STREAM --from latest --follow` prints what comes from now on; `headwater streams` has the names',
  stop: 'Ctrl-C in its terminal, or `systemctl stop headwater`, ends a broker',
  restart:
    '`headwater reload` has it read its configuration again; `systemctl restart headwater` starts the service anew',
  version: '`headwater --version`',
  logs: 'what happened is in the output of `headwater start`; of the service: `journalctl -u headwater`',
  publish: 'any MQTT client does: `mosquitto_pub -q 1 -t plant/1/temperature -m 21.5`',
  subscribe:
    'any MQTT client does: `mosquitto_sub -v -t "#"`; `headwater read STREAM --follow` prints what is recorded',
}
