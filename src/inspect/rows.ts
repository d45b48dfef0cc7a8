/** What the drawing of one allocator's heap gives: rows `from` to `to`, of as many as there are. */
export interface Rows<Row> {
  readonly count: number;
  readonly rows: readonly Row[];
}
