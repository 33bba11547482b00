/**
 * Pairs of a name and a value.
 *
 *   key-value:  temperature=21.5 humidity=40        pair := name "=" value         value := '"' any but '"' '"' | any but a separator
 *   plotter:    temperature:21.5,humidity:40        pair := name ":" number        and without names: 21.5 40 -> value1, value2
 *
 * Between pairs stand spaces, tabs, "," or ";"; around "=" and ":" there may be spaces. The plotter's is the Arduino IDE's own form.
 */
import {
  fault,
  isNumber,
  type LineParser,
  type LineValue,
  lineValue,
  type ParsedLine,
  valuesOf,
} from './parsed-line.ts'

const PAIRS = /[\s,;]*([^\s=,;"]+)\s*=\s*(?:"([^"]*)"|([^\s,;"]*))/uy
const LABELLED = /[\s,;]*([^\s:,;]+(?: +[^\s:,;]+)*)\s*:\s*([^\s,;:]+)/uy
const REST = /[\s,;]*$/y

export class KeyValueLines implements LineParser {
  parse(line: string): ParsedLine {
    const pairs = pairsOf(line, PAIRS, (text) => lineValue(text))
    if (pairs !== null) return valuesOf(pairs)
    return fault(
      'no-values',
      'let the device print name=value pairs with spaces between, or set another format',
    )
  }
}

export class PlotterLines implements LineParser {
  parse(line: string): ParsedLine {
    const labelled = pairsOf(line, LABELLED, numberValue)
    if (labelled !== null) {
      return labelled.some(([, { json }]) => json === undefined) ? notNumbers() : valuesOf(labelled)
    }
    const values = line.split(/[\s,;]+/u).filter((text) => text !== '')
    const numbers = values.map(numberValue)
    if (numbers.length === 0 || numbers.some(({ json }) => json === undefined)) return notNumbers()
    return valuesOf(numbers.map((value, i) => [`value${i + 1}`, value]))
  }
}

function notNumbers(): ParsedLine {
  return fault(
    'not-a-number',
    'let the device print numbers as for the plotter of the Arduino IDE, a:1 b:2 or 1,2',
  )
}

/** `json` is undefined for what is no number. */
function numberValue(text: string): LineValue {
  const value = lineValue(text)
  return isNumber(text) || value.json === null ? value : { text, json: undefined }
}

/** @param form sticky, with the name and then the value in its groups @returns null when the line is not made of pairs alone */
function pairsOf(
  line: string,
  form: RegExp,
  toValue: (text: string) => LineValue,
): [string, LineValue][] | null {
  const pairs: [string, LineValue][] = []
  let at = 0
  for (;;) {
    form.lastIndex = at
    const found = form.exec(line)
    if (found === null) break
    const [, name, ...values] = found
    pairs.push([name!, toValue(values.find((value) => value !== undefined) ?? '')])
    at = form.lastIndex
  }
  REST.lastIndex = at
  return pairs.length > 0 && REST.test(line) ? pairs : null
}
