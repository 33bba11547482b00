/** The command by which completion scripts ask the program; it is not in the help. */
export const COMPLETE_COMMAND = 'complete-words'
