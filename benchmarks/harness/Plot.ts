/** Draws how a figure grows with a size, as an SVG. */

export interface Series {
  readonly name: string
  readonly points: ReadonlyArray<{ readonly x: number; readonly y: number }>
}

const colours = ["#1b6ca8", "#c2571a", "#3a7d44", "#7a4d9f"]

const width = 720
const height = 360
const left = 80
const right = 20
const top = 40
const bottom = 60

/** A step of 1, 2 or 5 times a power of ten that gives about five ticks. */
const step = (highest: number): number => {
  const raw = highest / 5
  const power = 10 ** Math.floor(Math.log10(raw))
  return (raw / power > 5 ? 10 : raw / power > 2 ? 5 : raw / power > 1 ? 2 : 1) * power
}

const short = (value: number): string =>
  value >= 1e6 ? `${value / 1e6}M` : value >= 1e3 ? `${value / 1e3}k` : String(Number(value.toPrecision(3)))

/** Sizes stand at equal distances, in their order; figures from zero. */
export const svg = (
  title: string,
  labels: { readonly x: string; readonly y: string },
  series: ReadonlyArray<Series>
): string => {
  const xs = Array.from(new Set(series.flatMap(({ points }) => points.map(({ x }) => x)))).toSorted((a, b) => a - b)
  const highest = Math.max(...series.flatMap(({ points }) => points.map(({ y }) => y))) * 1.1
  const px = (x: number) => left + (width - left - right) * (xs.indexOf(x) + 0.5) / xs.length
  const py = (y: number) => height - bottom - (height - top - bottom) * y / highest
  const ticks = Array.from({ length: Math.floor(highest / step(highest)) + 1 }, (_, index) => index * step(highest))
  const text = (x: number, y: number, anchor: string, content: string, size = 12) =>
    `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" font-size="${size}">${content}</text>`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" fill="#222">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    text(left, 24, "start", title, 15),
    ...ticks.flatMap((y) => [
      `<line x1="${left}" x2="${width - right}" y1="${py(y).toFixed(1)}" y2="${py(y).toFixed(1)}" stroke="#ddd"/>`,
      text(left - 8, py(y) + 4, "end", short(y))
    ]),
    ...xs.map((x) => text(px(x), height - bottom + 20, "middle", short(x))),
    text((left + width - right) / 2, height - 14, "middle", labels.x),
    `<g transform="rotate(-90 18 ${(height - bottom + top) / 2})">${
      text(18, (height - bottom + top) / 2, "middle", labels.y)
    }</g>`,
    ...series.flatMap(({ name, points }, index) => {
      const colour = colours[index % colours.length] ?? "#222"
      const line = points.map(({ x, y }) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(" ")
      return [
        `<polyline points="${line}" fill="none" stroke="${colour}" stroke-width="2"/>`,
        ...points.map(({ x, y }) =>
          `<circle cx="${px(x).toFixed(1)}" cy="${py(y).toFixed(1)}" r="4" fill="${colour}"/>`
        ),
        `<rect x="${width - right - 190}" y="${12 + 16 * index}" width="12" height="3" fill="${colour}"/>`,
        text(width - right - 172, 18 + 16 * index, "start", name)
      ]
    }),
    "</svg>"
  ].join("\n") + "\n"
}
