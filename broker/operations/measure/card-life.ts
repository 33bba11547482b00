/** What a measured write means for the life of a card. Pure. */

const YEAR_SECONDS = 31_557_600

/**
 * @param bytesPerMessage written to the device
 * @param enduranceBytes what the device takes in its life
 * @returns years
 */
export function cardYears(
  bytesPerMessage: number,
  messagesPerSecond: number,
  enduranceBytes: number,
): number {
  return enduranceBytes / (bytesPerMessage * messagesPerSecond * YEAR_SECONDS)
}

/** "40 years", "7 months": as precise as such a guess is. */
export function yearsText(years: number): string {
  if (years >= 100) return 'more than 100 years'
  if (years >= 2) return `${Math.round(years)} years`
  const months = Math.round(years * 12)
  if (months >= 2) return `${months} months`
  return `${Math.max(1, Math.round(years * 365))} days`
}
