/** Reads of typed arrays inside their bounds, one function per kind of array so that each stays one machine instruction. */
export const intAt = (words: Int32Array, at: number): number => words[at] as number;
export const floatAt = (words: Float64Array, at: number): number => words[at] as number;
