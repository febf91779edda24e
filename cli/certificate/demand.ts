/** The sentence that a certificate's check gives when something it needs does not hold. */
export function demand(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new Error(otherwise);
}
