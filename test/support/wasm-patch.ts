/** Changes a compiled module so that one exported function traps when it is called (WebAssembly core 1.0, 5.5). */

const exportSection = 7;
const codeSection = 10;
const importSection = 2;
const functionKind = 0;
const opcode = { unreachable: 0x00, nop: 0x01, end: 0x0b } as const;

class Reader {
  readonly bytes: Uint8Array;
  offset: number;

  constructor(bytes: Uint8Array, offset: number) {
    this.bytes = bytes;
    this.offset = offset;
  }
  byte(): number {
    const value = this.bytes[this.offset];
    if (value === undefined) throw new RangeError('end of module');
    this.offset += 1;
    return value;
  }
  /** Unsigned LEB128. */
  u32(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const part = this.byte();
      value += (part & 0x7f) * 2 ** shift;
      if (part < 0x80) return value;
    }
  }
  text(): string {
    const length = this.u32();
    this.offset += length;
    return Buffer.from(this.bytes.subarray(this.offset - length, this.offset)).toString();
  }
}

function sectionAt(bytes: Uint8Array, wanted: number): Reader {
  const reader = new Reader(bytes, 8);
  for (;;) {
    const id = reader.byte();
    const length = reader.u32();
    if (id === wanted) return reader;
    reader.offset += length;
  }
}

/** Our module imports functions only. */
function importedFunctions(bytes: Uint8Array): number {
  return sectionAt(bytes, importSection).u32();
}

function exportedFunction(bytes: Uint8Array, name: string): number {
  const reader = sectionAt(bytes, exportSection);
  for (let left = reader.u32(); left > 0; left -= 1) {
    const found = reader.text();
    const kind = reader.byte();
    const index = reader.u32();
    if (found === name && kind === functionKind) return index;
  }
  throw new Error(`no exported function ${name}`);
}

export function withTrapIn(module: Uint8Array, name: string): Uint8Array {
  const bytes = module.slice();
  const reader = sectionAt(bytes, codeSection);
  const body = exportedFunction(bytes, name) - importedFunctions(bytes);
  reader.u32();
  for (let index = 0; index < body; index += 1) {
    const skipped = reader.u32();
    reader.offset += skipped;
  }
  const length = reader.u32();
  const start = reader.offset;
  // No locals, a trap, and padding, so that no size in the module changes.
  bytes.fill(opcode.nop, start, start + length);
  bytes.set([0, opcode.unreachable], start);
  bytes[start + length - 1] = opcode.end;
  return bytes;
}
