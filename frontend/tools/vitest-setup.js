// What happy-dom lacks for formulas; the tests of the build have no document at all.
if (typeof document !== "undefined") {
  // It says that it is in quirks mode, in which none is drawn; the page never is.
  Object.defineProperty(document, "compatMode", { value: "CSS1Compat", configurable: true });
  // Its MathML elements have no style.
  const create = document.createElementNS.bind(document);
  document.createElementNS = (space, ...rest) => {
    const made = create(space, ...rest);
    if (space === "http://www.w3.org/1998/Math/MathML") made.style ??= {};
    return made;
  };
}
