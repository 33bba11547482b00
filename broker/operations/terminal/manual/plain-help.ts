/** How help is laid out: commander's own, without what says nothing. */
import { Help, type HelpConfiguration } from 'commander'

export const plainHelp: HelpConfiguration = {
  // a flag that is not given is off
  optionDescription(option) {
    return Help.prototype.optionDescription.call(this, option).replace(/ ?\(default: false\)$/, '')
  },
}
