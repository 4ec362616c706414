import temml from "temml";

const MATHML = "http://www.w3.org/1998/Math/MathML";

/**
 * TeX as a MathML element; undefined where it is no TeX. Nothing in it links, loads or runs:
 * `trust` is off, so no \href, \includegraphics, \class or \data, and what is not MathML is left
 * out all the same. Size and macro expansion are bounded, since the text comes from a model.
 */
export function formula(tex: string, display: boolean): Element | undefined {
  const place = document.createElement("span");
  try {
    temml.render(tex, place, {
      displayMode: display,
      throwOnError: true,
      trust: false,
      maxSize: [20, 200],
      maxExpand: 200,
    });
  } catch (error) {
    if (error instanceof temml.ParseError) return undefined;
    throw error;
  }
  const made = place.firstElementChild;
  if (made?.namespaceURI !== MATHML) return undefined;
  for (const element of made.querySelectorAll("*")) {
    if (element.namespaceURI !== MATHML) element.remove();
    for (const { name } of [...element.attributes]) {
      if (/^(on|href|src|xlink:|id$)/i.test(name)) element.removeAttribute(name);
    }
  }
  return made;
}
