/** The command line's words for `headwater users`. */
import type { Command } from 'commander'
import { examples, group, located, reporting } from '../terminal/words.ts'
import type { PasswordOptions, UsersOptions } from './users.ts'

/** Each resolves to the exit code. */
export interface UsersActions {
  usersAdd(name: string, options: PasswordOptions): Promise<number>
  usersPasswd(name: string, options: PasswordOptions): Promise<number>
  usersRemove(name: string, options: UsersOptions): Promise<number>
  usersList(options: UsersOptions): Promise<number>
}

export function addUsers(program: Command, actions: UsersActions, done: (code: number) => void): void {
  const users = group(
    program
      .command('users')
      .description('who may log in to MQTT; a running broker takes changes within seconds')
      .addHelpText('after', USERS_HELP),
  )
  withPassword(reporting(located(users.command('add'))))
    .description('add a user')
    .argument('<name>', 'its name, which permissions name')
    .addHelpText(
      'after',
      examples(
        'headwater users add sensor-7',
        'headwater users add sensor-7 --password-file /run/secrets/sensor-7',
        'openssl rand -base64 24 | tee sensor-7.txt | headwater users add sensor-7',
      ),
    )
    .action(async (name, options) => done(await actions.usersAdd(name, options)))
  withPassword(reporting(located(users.command('passwd'))))
    .description('give a user another password; its connections end')
    .argument('<name>', 'its name')
    .addHelpText('after', examples('headwater users passwd sensor-7'))
    .action(async (name, options) => done(await actions.usersPasswd(name, options)))
  reporting(located(users.command('remove')))
    .description('remove a user; its connections end')
    .argument('<name>', 'its name')
    .addHelpText('after', examples('headwater users remove sensor-7'))
    .action(async (name, options) => done(await actions.usersRemove(name, options)))
  reporting(located(users.command('list')))
    .description('print the users, and what permissions allow them')
    .addHelpText(
      'after',
      examples('headwater users list', 'headwater users list --json | jq -r .users[].name'),
    )
    .action(async (options) => done(await actions.usersList(options)))
}

const USERS_HELP = `
The password is asked for on a terminal, else read from standard input. It is kept as a scrypt hash, in users.json in the
data directory. What users may do is in the configuration:

  mqtt:
    permissions:
      - users: [sensor-*]
        publish: ["plant/%u/#"]
        subscribe: ["plant/%u/command"]`

function withPassword(command: Command): Command {
  return command.option('--password-file <file>', 'read the password from this file')
}
