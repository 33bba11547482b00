/** What no name in MQTT has: control characters, halves of surrogate pairs, non-characters of any plane. MQTT 5, section 1.5.4: brokers end the connection of who sends them. */
export const NOT_IN_NAMES = /[\p{Cc}\p{Cs}\p{Noncharacter_Code_Point}]/u
