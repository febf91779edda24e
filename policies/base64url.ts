/** RFC 4648 section 5 without padding, the encoding WebAuthn uses. Strict: one text per byte string. */
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

export function encodeBase64url(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let width = 0;
  for (const byte of bytes) {
    bits = ((bits << 8) | byte) & 0xffff;
    width += 8;
    while (width >= 6) {
      width -= 6;
      text += alphabet[(bits >> width) & 63] ?? '';
    }
  }
  return width === 0 ? text : text + (alphabet[(bits << (6 - width)) & 63] ?? '');
}

/** Undefined for padding, other characters, a length no byte string has, or bits left over that are not zero. */
export function decodeBase64url(text: string): Uint8Array | undefined {
  if (text.length % 4 === 1) return undefined;
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4));
  let bits = 0;
  let width = 0;
  let at = 0;
  for (const character of text) {
    const value = alphabet.indexOf(character);
    if (value < 0) return undefined;
    bits = ((bits << 6) | value) & 0xffff;
    width += 6;
    if (width >= 8) {
      width -= 8;
      bytes[at++] = (bits >> width) & 0xff;
    }
  }
  return (bits & ((1 << width) - 1)) === 0 ? bytes : undefined;
}
