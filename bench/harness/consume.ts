/**
 * Where results go so that the engine cannot remove the work that made them. A property of an exported object can be
 * read by anybody at any time, so each store to it has to happen.
 */
export const consumed = { sum: 0 };

export function consume(value: number): void {
  consumed.sum = (consumed.sum + value) | 0;
}
