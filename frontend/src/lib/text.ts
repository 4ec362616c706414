/**
 * The server counts characters (Unicode code points); JavaScript strings count UTF-16 units, in
 * which an emoji or a rare Hanja is two. Everything here converts between the two.
 */

/** Index in `text` of the character number `offset`, at most its length. */
export function indexOfCharacter(text: string, offset: number): number {
  let index = 0;
  for (let seen = 0; seen < offset && index < text.length; seen++) {
    const unit = text.charCodeAt(index);
    index += unit >= 0xd800 && unit < 0xdc00 && index + 1 < text.length ? 2 : 1;
  }
  return index;
}

/** How many characters `text` has. */
export function countCharacters(text: string): number {
  let count = 0;
  for (let index = 0; index < text.length; count++) {
    const unit = text.charCodeAt(index);
    index += unit >= 0xd800 && unit < 0xdc00 && index + 1 < text.length ? 2 : 1;
  }
  return count;
}

/** `text` cut at the characters `start` and `end`: what is before, between and after. */
export function cut(text: string, start: number, end: number): [string, string, string] {
  const from = indexOfCharacter(text, Math.max(0, start));
  const to = from + indexOfCharacter(text.slice(from), Math.max(0, end - Math.max(0, start)));
  return [text.slice(0, from), text.slice(from, to), text.slice(to)];
}
