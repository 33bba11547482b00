/** Small drawings, one line wide, in the colour of the text around them. They say nothing that the text does not. */

const PATHS = {
  ok: 'M3 8.5l3.2 3.2L13 4.8',
  warning: 'M8 2.2l6.4 11.3H1.600zM8 6.400v3.400M8 11.700v.1',
  cross:
    'M8 1.700a6.300 6.300 0 1 0 0 12.600 6.300 6.300 0 0 0 0-12.600zM5.700 5.700l4.600 4.600M10.300 5.700l-4.600 4.600',
  info: 'M8 1.700a6.300 6.300 0 1 0 0 12.600 6.300 6.300 0 0 0 0-12.600zM8 7.300v4M8 4.800v.1',
  sun: 'M8 5.200a2.800 2.800 0 1 0 0 5.600 2.800 2.800 0 0 0 0-5.600zM8 1.200v1.500M8 13.300v1.500M1.200 8h1.500M13.300 8h1.500M3.200 3.200l1 1M11.800 11.800l1 1M3.200 12.800l1-1M11.800 4.200l1-1',
  moon: 'M13.200 9.900A5.700 5.700 0 0 1 6.100 2.800a5.700 5.700 0 1 0 7.100 7.100z',
  system: 'M1.800 3h12.400v8H1.800zM5.500 13.500h5M8 11v2.500',
  chevron: 'M6 3.500L10.500 8 6 12.500',
} as const

export type IconName = keyof typeof PATHS

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  )
}

/** A source over its stream. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" />
      <path class="drop" d="M16 5.500c-1.600 3.300-5 6-5 9.300a5 5 0 0 0 10 0c0-3.300-3.400-6-5-9.300z" />
      <path
        class="wave"
        d="M6 23.500c2.500 0 2.500-1.800 5-1.800s2.500 1.800 5 1.800 2.500-1.800 5-1.800 2.500 1.800 5 1.800M9 27.800c1.750 0 1.750-1.300 3.500-1.300s1.750 1.300 3.500 1.300 1.750-1.300 3.500-1.300 1.750 1.300 3.500 1.300"
      />
    </svg>
  )
}
