// happy-dom says that it is in quirks mode, in which no formula is drawn; the page never is.
Object.defineProperty(document, "compatMode", { value: "CSS1Compat", configurable: true });

// Nor do its MathML elements have a style.
const create = document.createElementNS.bind(document);
document.createElementNS = (space, ...rest) => {
  const made = create(space, ...rest);
  if (space === "http://www.w3.org/1998/Math/MathML") made.style ??= {};
  return made;
};
