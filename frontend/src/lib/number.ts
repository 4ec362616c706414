/** A number as both languages write it, with at most so many digits after the point. `Intl` would say
 * the same (but for ties of decimals that are none in binary), but the first `NumberFormat` of a page
 * takes a phone 50 to 80 ms (bench/README.md). */
export function formatNumber(value: number, places: 0 | 1 = 0): string {
  return value
    .toFixed(places)
    .replace(".0", "")
    .replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}
