// AssemblyScript puts decorators before functions, where TypeScript's grammar, and so prettier and
// oxlint, does not accept them. For these tools a decorator, on a line of its own, is turned into a
// comment on the same line.

const decoratorLine = /^([ \t]*)(@[A-Za-z]+(?:\([^\n]*\))?)[ \t]*$/gm;
const maskedLine = /^([ \t]*)\/\/#(@[^\n]*)$/gm;

/** The text with its decorators as comments; the lines keep their numbers. */
export function maskDecorators(text) {
  return text.replace(decoratorLine, "$1//#$2");
}

/** Undoes `maskDecorators`. */
export function unmaskDecorators(text) {
  return text.replace(maskedLine, "$1$2");
}
